import { X509Certificate } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { connect, type TLSSocket } from 'node:tls';
import { StillpointError } from '@stillpoint/shared/errors';

/** Where cmapi is, and by what it is known. */
export interface CmapiPlace {
  /** `https://host:port`. */
  readonly url: string;
  /** Certificate to know it by, a PEM file; undefined for none. */
  readonly ca: string | undefined;
}

/**
 * A connection to cmapi and nobody else; the API key may be sent on it. Known by the configured certificate: its own, whatever names and
 * dates that bears, or that of its CA. cmapi makes itself a certificate for `localhost`, so without a configured one only a cmapi on
 * this very host is spoken to. Throws COLUMNSTORE_CONFIG when it is not to be trusted, the system's error, or the signal's reason.
 */
export async function connectToCmapi({ url, ca }: CmapiPlace, signal: AbortSignal): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const pem = ca === undefined ? undefined : await readPem(ca);
  const addresses = isIP(host) === 0 ? (await lookup(host, { all: true })).map(({ address }) => address) : [host];
  if (pem === undefined) requireOwn(host, addresses);
  signal.throwIfAborted();
  const socket = connect({
    host: addresses[0],
    port: Number(port || HTTPS_PORT),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(pem === undefined ? {} : { ca: pem }),
    // Judged below: a certificate may be known as such, by whatever name it goes.
    rejectUnauthorized: false,
  });
  try {
    await once(socket, 'secureConnect', { signal });
    if (pem !== undefined && !socket.authorized && !isPinned(socket, pem)) throw notTrusted(url, ca, socket);
    return socket;
  } catch (error) {
    socket.destroy();
    throw signal.aborted ? signal.reason : error;
  }
}

const HTTPS_PORT = 443;

async function readPem(ca: string): Promise<string> {
  return await readFile(ca, 'utf8').catch((cause: unknown) => {
    throw new StillpointError('COLUMNSTORE_CONFIG', `The certificate to verify cmapi by cannot be read: ${(cause as Error).message}`, {
      hint: 'Correct `columnstore.cmapi.ca` in agent.yaml.',
      cause,
    });
  });
}

/** Addresses of this host, and loopback. The connection goes to one that was looked at here, not to what a name says a moment later. */
function requireOwn(host: string, addresses: readonly string[]): void {
  const own = Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address));
  const foreign = addresses.find((address) => !own.includes(address) && !/^127\./.test(address) && address !== '::1');
  if (foreign === undefined) return;
  throw new StillpointError(
    'COLUMNSTORE_CONFIG',
    `cmapi at ${host} (${foreign}) is not on this host, and there is nothing to verify it by`,
    {
      hint: 'Set `columnstore.cmapi.ca` in agent.yaml to its certificate, or `columnstore.cmapi.url` to the cmapi of this node.',
    },
  );
}

function isPinned(socket: TLSSocket, pem: string): boolean {
  const presented = socket.getPeerX509Certificate()?.fingerprint256;
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return certificates.some((certificate) => new X509Certificate(certificate).fingerprint256 === presented);
}

const notTrusted = (url: string, ca: string | undefined, socket: TLSSocket): StillpointError =>
  new StillpointError('COLUMNSTORE_CONFIG', `cmapi at ${url} is not the one of ${ca}: ${String(socket.authorizationError)}`, {
    hint: 'If cmapi has a new certificate, set `columnstore.cmapi.ca` in agent.yaml to that. The API key was not sent.',
  });
