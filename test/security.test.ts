import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import {
  connect as connectTls,
  createSecureContext,
  createServer as createTlsServer,
  type SecureVersion,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls';
import { fromBinary } from '@bufbuild/protobuf';
import { ChannelCredentials, Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { TlsSetting } from '@stillpoint/shared/config';
import { type ErrorDetail, ErrorDetailSchema } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { clockAt, type TestAuthority, testAuthority } from './harness/certificates.ts';
import { eventually } from './harness/eventually.ts';
import { agentClient, drain, failureOf, type ServedAgent, serveAgent } from './harness/served.ts';

const HERE = /^127\.0\.0\.1:\d+$/;

let ca: TestAuthority;
let otherCa: TestAuthority;
let otherCluster: TestAuthority;
let db1: TlsSetting;
let ops: TlsSetting;
let db2: TlsSetting;
const cleanup: (() => unknown)[] = [];

beforeAll(async () => {
  ca = await testAuthority('shop');
  otherCa = await testAuthority('shop');
  otherCluster = await testAuthority('bank');
  [db1, db2, ops] = await Promise.all([ca.issue('agent', 'db1'), ca.issue('agent', 'db2'), ca.issue('controller', 'ops')]);
});
afterAll(() => {
  for (const authority of [ca, otherCa, otherCluster]) authority.remove();
});
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

/** Both CAs in one file, as while one is being replaced by the other. */
function bothAuthorities(one: TlsSetting, other: TlsSetting, name: string): string {
  const path = join(ca.directory, name);
  writeFileSync(path, readFileSync(one.ca, 'utf8') + readFileSync(other.ca, 'utf8'));
  return path;
}

const material = ({ cert, key }: TlsSetting, ca: string) => ({ ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) });

describe('an agent', () => {
  let agent: ServedAgent;
  let served: string[];

  beforeEach(async () => {
    served = [];
    agent = await serveAgent(
      db1,
      {
        describeNode: async (_request, { peer }) => {
          served.push(peer.name);
          return { facts: { node: 'db1' } };
        },
        fetchShard: async function* (_request, { peer }) {
          served.push(peer.name);
          yield { data: new Uint8Array(3) };
        },
      },
      { allowedRoles: (method) => (method === 'fetchShard' ? ['controller', 'agent'] : ['controller']) },
    );
    cleanup.push(() => agent.server.close());
  });

  const client = (tls: TlsSetting, node = 'db1') => {
    const connection = agentClient(tls, agent.address, node);
    cleanup.push(connection.close);
    return connection.client;
  };

  /** Another client than ours: checks nothing, of itself or of the agent. Resolves when the connection has ended. */
  function strange(options: { tls?: TlsSetting; maxVersion?: SecureVersion }): Promise<{ greeted: boolean; error: string }> {
    return new Promise((resolve) => {
      const { tls, maxVersion } = options;
      const seen = { greeted: false, error: '' };
      const socket = connectTls({
        port: agent.server.port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
        ...(tls === undefined ? {} : material(tls, tls.ca)),
        ...(maxVersion === undefined ? {} : { maxVersion }),
      });
      socket.on('data', () => {
        seen.greeted = true;
        socket.end();
      });
      socket.on('error', (error: NodeJS.ErrnoException) => {
        seen.error = error.code ?? error.message;
      });
      socket.on('close', () => resolve(seen));
    });
  }

  const refusal = () => eventually(() => agent.refused[0]);

  it('serves a controller of its cluster, over TLS 1.3', async () => {
    const { facts } = await client(ops).describeNode({});
    expect(facts?.node).toBe('db1');
    expect(served).toEqual(['ops']);
    expect(await strange({ tls: ops })).toEqual({ greeted: true, error: '' });
    expect(agent.refused).toEqual([]);
  });

  it('refuses who has no certificate', async () => {
    expect(await strange({})).toMatchObject({ greeted: false });
    expect(await refusal()).toEqual([expect.stringMatching(HERE), 'it presented no certificate']);
  });

  it('refuses a certificate of another CA', async () => {
    expect(await strange({ tls: await otherCa.issue('controller', 'stranger') })).toMatchObject({ greeted: false });
    expect(await refusal()).toEqual([expect.stringMatching(HERE), 'its certificate was refused: it was issued by another CA']);
  });

  it('refuses a certificate of the CA of another cluster', async () => {
    expect(await strange({ tls: await otherCluster.issue('controller', 'stranger') })).toMatchObject({ greeted: false });
    expect(await refusal()).toEqual([expect.stringMatching(HERE), 'its certificate was refused: it was issued by another CA']);
  });

  it('refuses a certificate that has expired, and one that is not valid yet', async () => {
    const expired = await ca.issue('controller', 'expired', { clock: clockAt(-1), validDays: 1 });
    expect(await strange({ tls: expired })).toMatchObject({ greeted: false });
    expect(await refusal()).toEqual([expect.stringMatching(HERE), 'its certificate was refused: it has expired']);
    const early = await ca.issue('controller', 'early', { clock: clockAt(2) });
    expect(await strange({ tls: early })).toMatchObject({ greeted: false });
    await eventually(() => agent.refused.length === 2);
    expect(agent.refused[1]?.[1]).toBe('its certificate was refused: it is not valid yet');
  });

  it('looks at the certificate of every connection: no session is taken up again', async () => {
    const connect = (session?: Buffer): Promise<{ session: Buffer; reused: boolean }> =>
      new Promise((resolve, reject) => {
        const options = {
          port: agent.server.port,
          host: '127.0.0.1',
          rejectUnauthorized: false,
          ALPNProtocols: ['h2'],
          ...material(ops, ops.ca),
        };
        const socket = connectTls(session === undefined ? options : { ...options, session });
        socket.on('error', reject);
        // The greeting comes after the session, if there is one.
        socket.on('data', () => {
          resolve({ session: socket.getSession() ?? Buffer.alloc(0), reused: socket.isSessionReused() });
          socket.destroy();
        });
      });
    const { session } = await connect();
    expect((await connect(session)).reused).toBe(false);
  });

  it('refuses TLS 1.2', async () => {
    const { greeted, error } = await strange({ tls: ops, maxVersion: 'TLSv1.2' });
    expect(greeted).toBe(false);
    expect(error).toMatch(/PROTOCOL_VERSION/);
    expect(await refusal()).toEqual([expect.stringMatching(HERE), 'it speaks no TLS 1.3']);
  });

  it('refuses who does not speak TLS at all', async () => {
    const socket = connectTcp(agent.server.port, '127.0.0.1', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
    socket.on('error', () => {});
    cleanup.push(() => socket.destroy());
    expect(await refusal()).toEqual([expect.stringMatching(HERE), 'it does not speak TLS']);
  });

  it('refuses role agent where it is not meant, naming both, and serves it where it is', async () => {
    const other = client(db2);
    const error = await failureOf(other.describeNode({}));
    expect(error).toMatchObject({
      code: 'ROLE_REFUSED',
      node: 'db1',
      message: 'DescribeNode is not for role agent (db2), only for controller',
    });
    expect(await refusal()).toEqual([expect.stringMatching(/^agent db2 of cluster shop \(127\.0\.0\.1:\d+\)$/), error.message]);
    expect(served).toEqual([]);
    expect(await drain(other.fetchShard({}))).toHaveLength(1);
    expect(served).toEqual(['db2']);
  });

  it('refuses another version of the protocol', async () => {
    const { detail } = await rawCall(agent.address, ops, { 'stillpoint-protocol': '2' });
    expect(detail).toMatchObject({ code: 'VERSION_SKEW', message: 'DescribeNode: the caller speaks protocol 2, db1 speaks 1' });
    expect((await rawCall(agent.address, ops, {})).detail?.code).toBe('VERSION_SKEW');
    expect(await refusal()).toEqual([expect.stringMatching(/^controller ops/), detail?.message]);
    expect(served).toEqual([]);
  });

  it('knows no call beyond its service, and a caller of a newer version is told so', async () => {
    const { error } = await rawCall(agent.address, ops, { 'stillpoint-protocol': '1' }, '/stillpoint.v1.AgentService/Explode');
    expect(error.details).toMatch(/does not implement/);
  });

  it('stops although somebody holds a connection open without a word', async () => {
    const socket = connectTcp(agent.server.port, '127.0.0.1');
    const gone = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => {});
    await new Promise((resolve) => socket.on('connect', resolve));
    await agent.server.close();
    await gone;
    cleanup.length = 0;
  });

  describe('tells a client of ours, which says', () => {
    it('that the agent refuses its certificate, when only the agent does not know its CA', async () => {
      const issued = await otherCa.issue('controller', 'moved');
      const error = await failureOf(client({ ...issued, ca: bothAuthorities(issued, db1, 'both.crt') }).describeNode({}));
      expect(error).toMatchObject({
        code: 'TLS_REFUSED',
        node: 'db1',
        message: expect.stringMatching(
          /^db1 \(127.*\): the agent refuses our certificate \(controller moved of cluster shop, issued by O=shop, CN=Stillpoint CA, valid to 20\d\d-.*Z\)$/,
        ),
      });
      expect((await refusal())[1]).toMatch(/another CA/);
    });

    it('that the certificate of the agent is of another CA', async () => {
      const error = await failureOf(client(await otherCa.issue('controller', 'ops2')).describeNode({}));
      expect(error).toMatchObject({
        code: 'TLS_REFUSED',
        node: 'db1',
        message: expect.stringMatching(/we refuse the certificate there: it was issued by another CA/),
      });
      expect(served).toEqual([]);
    });

    it('that another node answers at the address', async () => {
      expect(await failureOf(client(ops, 'db3').describeNode({}))).toMatchObject({
        code: 'NODE_MISMATCH',
        node: 'db3',
        message: `db3 (${agent.address}): the agent there has the certificate of node db1`,
      });
    });
  });

  it('refuses openssl s_client with TLS 1.2', async () => {
    const run = await new Promise<string>((resolve) => {
      const args = ['s_client', '-tls1_2', '-connect', agent.address, '-cert', ops.cert, '-key', ops.key, '-CAfile', ops.ca];
      execFile('openssl', args, { timeout: 20_000 }, (_error, stdout, stderr) => resolve(stdout + stderr)).stdin?.end();
    });
    expect(run).toMatch(/alert protocol version/);
    expect((await refusal())[1]).toBe('it speaks no TLS 1.3');
  });
});

describe('a client', () => {
  const client = (address: string, node = 'db1') => {
    const connection = agentClient(ops, address, node);
    cleanup.push(connection.close);
    return connection.client;
  };

  async function listening(server: Server): Promise<string> {
    server.listen(0, '127.0.0.1');
    await eventually(() => server.listening);
    return `127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  /** A server that checks nothing, of itself or of its clients. */
  function impostor(tls: TlsSetting, options: TlsOptions = {}): Promise<string> {
    const sockets: TLSSocket[] = [];
    const server = createTlsServer({ ...material(tls, tls.ca), ALPNProtocols: ['h2'], ...options }, (socket) => {
      socket.on('error', () => {});
      sockets.push(socket);
    });
    cleanup.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return listening(server);
  }

  it('refuses an agent whose certificate has expired, and says when it did', async () => {
    const expired = await ca.issue('agent', 'db8', { clock: clockAt(-30), validDays: 10 });
    const address = await impostor(expired);
    expect(await failureOf(client(address, 'db8').describeNode({}))).toMatchObject({
      code: 'TLS_REFUSED',
      node: 'db8',
      message: expect.stringMatching(/^db8 .*: we refuse the certificate there: it has expired \(valid from .* to .*\)$/),
    });
  });

  it('refuses a controller that poses as an agent', async () => {
    const address = await impostor(await ca.issue('controller', 'db9'));
    expect(await failureOf(client(address, 'db9').describeNode({}))).toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringMatching(/we refuse the certificate there: it is not meant for this use/),
    });
  });

  it('refuses an agent of another cluster, even if it knows its CA', async () => {
    const bank = await otherCluster.issue('agent', 'db1');
    const both = bothAuthorities(bank, ops, 'clusters.crt');
    const { client, close } = agentClient({ ...ops, ca: both }, await impostor(bank));
    cleanup.push(close);
    expect(await failureOf(client.describeNode({}))).toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringMatching(/the certificate there is for cluster bank, not shop/),
    });
  });

  it('refuses a server that speaks TLS 1.2 at most', async () => {
    const address = await impostor(db1, { maxVersion: 'TLSv1.2' });
    expect(await failureOf(client(address).describeNode({}))).toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringMatching(/speaks no TLS 1\.3/),
    });
  });

  it('refuses a server that does not speak TLS', async () => {
    const server = createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH_9.2\r\n'));
    cleanup.push(() => server.close());
    expect(await failureOf(client(await listening(server)).describeNode({}))).toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringMatching(/speaks no TLS 1\.3/),
    });
  });
});

/** A call by another client than ours, with metadata of its own. */
function rawCall(
  address: string,
  tls: TlsSetting,
  headers: Record<string, string>,
  path = '/stillpoint.v1.AgentService/DescribeNode',
): Promise<{ error: ServiceError; detail: ErrorDetail | undefined }> {
  const credentials = ChannelCredentials.createFromSecureContext(createSecureContext(material(tls, tls.ca)), {
    checkServerIdentity: () => undefined,
  });
  const grpc = new Client(address, credentials, { 'grpc.ssl_target_name_override': 'stillpoint', 'grpc.enable_http_proxy': 0 });
  cleanup.push(() => grpc.close());
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
  const identity = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve, reject) => {
    grpc.makeUnaryRequest(path, identity, identity, Buffer.alloc(0), metadata, (error) => {
      if (error === null) return reject(new Error('was served'));
      const [bytes] = error.metadata.get('stillpoint-error-bin');
      resolve({ error, detail: bytes === undefined ? undefined : fromBinary(ErrorDetailSchema, Buffer.from(bytes)) });
    });
  });
}
