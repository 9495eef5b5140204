import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/** A certificate and its key, PEM files. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Certificates as administrators make them. */
export interface Certificates {
  /** A certificate that only vouches for itself. */
  selfSigned(name: string): CertificateFiles;
  /** One that is signed by another. */
  signedBy(ca: CertificateFiles, name: string): CertificateFiles;
  remove(): void;
}

export function makeCertificates(): Certificates {
  const directory = mkdtempSync(join(tmpdir(), 'stillpoint-https-'));
  let made = 0;
  const make = (name: string, ...more: string[]): CertificateFiles => {
    made += 1;
    const [certificate, key] = [join(directory, `${made}.crt`), join(directory, `${made}.key`)];
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-days', '2'];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', certificate];
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, ...more], { stdio: 'ignore' });
    return { certificate, key };
  };
  return {
    selfSigned: (name) => make(name),
    signedBy: (ca, name) => make(name, '-CA', ca.certificate, '-CAkey', ca.key, '-addext', 'basicConstraints=critical,CA:FALSE'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A request as a server sees it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface HttpsServer {
  readonly port: number;
  readonly seen: readonly SeenRequest[];
  close(): Promise<void>;
}

/** Serves on loopback; answers what `answer` says. */
export async function serveHttps(
  files: CertificateFiles,
  answer: (request: SeenRequest) => Promise<{ readonly status: number; readonly body: string }>,
): Promise<HttpsServer> {
  const seen: SeenRequest[] = [];
  const server = createServer({ cert: readFileSync(files.certificate), key: readFileSync(files.key) }, (incoming, outgoing) => {
    const reply = async (): Promise<void> => {
      const request = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers, body: await text(incoming) };
      seen.push(request);
      const { status, body } = await answer(request);
      outgoing.writeHead(status, { 'Content-Type': 'application/json' }).end(body);
    };
    reply().catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The configuration file of a cmapi with this API key; of one without when there is none. */
export function writeCmapiConfig(file: string, key: string | undefined): string {
  const lines = [
    '[global]',
    "server.socket_host = '0.0.0.0'",
    '',
    ...(key === undefined ? [] : ['[Authentication]', `x-api-key = '${key}'`]),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
