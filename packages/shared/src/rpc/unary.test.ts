import { createServer as createTcpServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type TestAuthority, testAuthority } from '../../../../test/harness/certificates.ts';
import { eventually } from '../../../../test/harness/eventually.ts';
import { agentClient, failureOf, type ServedAgent, serveAgent } from '../../../../test/harness/served.ts';
import type { TlsSetting } from '../config/index.ts';
import { ERROR_TABLE, type ErrorCode, StillpointError } from '../errors/index.ts';
import type { AgentService } from '../proto/index.ts';
import type { CallContext, Connection } from './index.ts';

let ca: TestAuthority;
let db1: TlsSetting;
let ops: TlsSetting;
const cleanup: (() => unknown)[] = [];

beforeAll(async () => {
  ca = await testAuthority('shop');
  db1 = await ca.issue('agent', 'db1');
  ops = await ca.issue('controller', 'ops');
});
afterAll(() => ca.remove());
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

const serve = async (...[calls, options]: [Parameters<typeof serveAgent>[1], Parameters<typeof serveAgent>[2]?]): Promise<ServedAgent> => {
  const served = await serveAgent(db1, calls, options);
  cleanup.push(() => served.server.close());
  return served;
};

const connect = (address: string): Connection<typeof AgentService>['client'] => {
  const { client, close } = agentClient(ops, address);
  cleanup.push(close);
  return client;
};

/** A handler that waits for its end and tells how it came. */
function waiting() {
  const seen: { context?: CallContext } = {};
  const handler = async (_request: unknown, context: CallContext): Promise<never> => {
    seen.context = context;
    await new Promise((_resolve, reject) => context.signal.addEventListener('abort', () => reject(context.signal.reason)));
    throw new Error('unreachable');
  };
  return { handler, context: () => eventually(() => seen.context) };
}

describe('a unary call', () => {
  it('carries request and response, and tells the handler who calls', async () => {
    const { address } = await serve({
      readPart: async ({ setId }, { peer }) => ({ manifest: Buffer.from(`${setId} for ${peer.role} ${peer.name} of ${peer.cluster}`) }),
    });
    const { manifest } = await connect(address).readPart({ setId: 's1' });
    expect(Buffer.from(manifest).toString()).toBe('s1 for controller ops of shop');
  });

  it('carries a manifest of 60 MiB', async () => {
    const { address } = await serve({ readPart: async () => ({ manifest: new Uint8Array(60 * 1024 * 1024) }) });
    const { manifest } = await connect(address).readPart({ setId: 's1' });
    expect(manifest.length).toBe(60 * 1024 * 1024);
  });

  it('refuses a message of more than 64 MiB', async () => {
    const { address } = await serve({ readPart: async () => ({ manifest: new Uint8Array(65 * 1024 * 1024) }) });
    const error = await failureOf(connect(address).readPart({ setId: 's1' }));
    expect(error).toMatchObject({ code: 'INTERNAL', node: 'db1', message: expect.stringMatching(/larger than max/) });
  });
});

describe('a message that cannot be encoded', () => {
  it('is an error of who made it, with the reason', async () => {
    const { address } = await serve({ grantSeed: async () => ({ ticket: 't', expiresAt: { seconds: 1n, nanos: 0.5 } }) });
    const client = connect(address);
    const wanted = { code: 'INTERNAL', node: 'db1', message: expect.stringMatching(/nanos to binary: invalid int32: 0.5/) };
    expect(await failureOf(client.grantSeed({}))).toMatchObject(wanted);
    expect(await failureOf(client.grantSeed({ validFor: { seconds: 1n, nanos: 0.5 } }))).toMatchObject(wanted);
  });
});

describe('an error of a handler', () => {
  it.each(Object.keys(ERROR_TABLE) as ErrorCode[])('%s reaches the caller as it is', async (code) => {
    const thrown = new StillpointError(code, `what happened to ${code}: größer als ${'日本'}`, { hint: 'do this', node: 'db7' });
    const { address } = await serve({
      describeNode: () => Promise.reject(thrown),
    });
    const error = await failureOf(connect(address).describeNode({}));
    expect(error).toMatchObject({ code, message: thrown.message, hint: 'do this', node: 'db7' });
  });

  it('brings the sessions that stood in the way', async () => {
    const blocker = {
      connectionId: 42,
      user: 'app',
      host: '10.0.0.9',
      ageMs: 61_000,
      command: 'Query',
      statement: 'UPDATE t',
      lockMode: 'MDL_BACKUP_DDL',
    };
    const { address } = await serve({
      describeNode: () => Promise.reject(new StillpointError('LOCK_TIMEOUT', 'not granted', { blockers: [blocker] })),
    });
    const error = await failureOf(connect(address).describeNode({}));
    expect(error.blockers).toEqual([blocker]);
    expect(error.node).toBe('db1');
  });

  it.each(['m', 'ü', '本', '😀'])('is cut to what fits into the trailers of a call: %s', async (letter) => {
    const blocker = {
      connectionId: 1,
      user: letter.repeat(80),
      host: 'h',
      ageMs: 1.5,
      command: 'Query',
      statement: letter.repeat(120),
      lockMode: '',
    };
    const thrown = new StillpointError('LOCK_TIMEOUT', `${letter.repeat(100_000)}\ud800`, {
      hint: letter.repeat(100_000),
      blockers: Array.from({ length: 1000 }, () => blocker),
    });
    const { address } = await serve({ describeNode: () => Promise.reject(thrown) });
    const error = await failureOf(connect(address).describeNode({}));
    expect(error.code).toBe('LOCK_TIMEOUT');
    expect(error.message).toMatch(new RegExp(`^(?:${letter}){900,}.?…$`, 'u'));
    expect(error.blockers.length).toBeGreaterThanOrEqual(10);
    expect(error.blockers[0]).toEqual({ ...blocker, ageMs: 2 });
  });

  it('is INTERNAL when it cannot be sent itself', async () => {
    const blocker = { connectionId: 1.5, user: 'u', host: 'h', ageMs: 1, command: 'Query', statement: '', lockMode: '' };
    const thrown = new StillpointError('LOCK_TIMEOUT', 'x', { blockers: [blocker] });
    const { address } = await serve({ describeNode: () => Promise.reject(thrown) });
    expect(await failureOf(connect(address).describeNode({}))).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringMatching(/1\.5/),
      node: 'db1',
    });
  });

  it('is INTERNAL when it is none of the table, bound to the node', async () => {
    const { address } = await serve({ describeNode: () => Promise.reject(new TypeError('x is not a function')) });
    expect(await failureOf(connect(address).describeNode({}))).toMatchObject({
      code: 'INTERNAL',
      message: 'x is not a function',
      node: 'db1',
    });
  });

  it('is DISK_FULL when the system says so', async () => {
    const { address } = await serve({ describeNode: () => Promise.reject(Object.assign(new Error('ENOSPC: write'), { code: 'ENOSPC' })) });
    expect((await failureOf(connect(address).describeNode({}))).code).toBe('DISK_FULL');
  });

  it('is the same when it is thrown before the first await', async () => {
    const { address } = await serve({
      describeNode: () => {
        throw new StillpointError('NODE_BUSY', 'claimed');
      },
    });
    expect((await failureOf(connect(address).describeNode({}))).code).toBe('NODE_BUSY');
  });
});

describe('a call that ends early', () => {
  it('gives the caller the reason of the abort, and aborts the handler', async () => {
    const { handler, context } = waiting();
    const { address } = await serve({ describeNode: handler });
    const abort = new AbortController();
    const call = failureOf(connect(address).describeNode({}, { signal: abort.signal }));
    const { signal } = await context();
    const reason = new StillpointError('LEASE_EXPIRED', 'gone');
    abort.abort(reason);
    expect(await call).toBe(reason);
    await eventually(() => signal.aborted);
    expect(signal.reason).toMatchObject({ code: 'CANCELLED', message: 'the caller has gone' });
  });

  it('is CANCELLED when the abort has a reason of its own kind', async () => {
    const { handler, context } = waiting();
    const { address } = await serve({ describeNode: handler });
    const abort = new AbortController();
    const call = failureOf(connect(address).describeNode({}, { signal: abort.signal }));
    await context();
    abort.abort();
    expect((await call).code).toBe('CANCELLED');
  });

  it('never starts when it is aborted before', async () => {
    const reason = new StillpointError('CANCELLED', 'too late');
    const call = connect('127.0.0.1:1').describeNode({}, { signal: AbortSignal.abort(reason) });
    expect(await failureOf(call)).toBe(reason);
  });

  it('is DEADLINE for the caller when its time has passed, and ends the handler', async () => {
    const { handler, context } = waiting();
    const { address } = await serve({ describeNode: handler });
    const client = connect(address);
    const call = failureOf(client.describeNode({}, { timeoutMs: 2_000 }));
    const { signal } = await context();
    expect(await call).toMatchObject({ code: 'DEADLINE', node: 'db1' });
    await eventually(() => signal.aborted);
    // Both sides count for themselves. The caller, whose time is up first, says so by a reset, and that may come before the agent has noticed.
    expect(['DEADLINE', 'CANCELLED']).toContain((signal.reason as StillpointError).code);
  });

  it('is CANCELLED when its client is closed', async () => {
    const { handler, context } = waiting();
    const { address } = await serve({ describeNode: handler });
    const { client, close } = agentClient(ops, address);
    const call = failureOf(client.describeNode({}));
    await context();
    close();
    expect(await call).toMatchObject({ code: 'CANCELLED', message: 'the connection to db1 was closed' });
    expect((await failureOf(client.describeNode({}))).code).toBe('CANCELLED');
  });

  it('is CONNECTION_LOST when the server stops, which waits for its handlers', async () => {
    const { handler, context } = waiting();
    const served = await serveAgent(db1, { describeNode: handler });
    const call = failureOf(connect(served.address).describeNode({}));
    await context();
    await served.server.close();
    expect(await call).toMatchObject({ code: 'CONNECTION_LOST', message: 'the agent of db1 is stopping', node: 'db1' });
  });
});

describe('an agent that is not there', () => {
  it('is NODE_UNREACHABLE at once when nothing listens', async () => {
    const error = await failureOf(connect('127.0.0.1:1').describeNode({}));
    expect(error).toMatchObject({ code: 'NODE_UNREACHABLE', node: 'db1', message: 'db1 (127.0.0.1:1): ECONNREFUSED' });
  });

  it('is NODE_UNREACHABLE when its name cannot be resolved', async () => {
    const error = await failureOf(connect('no-such-host.invalid:7443').describeNode({}));
    expect(error).toMatchObject({ code: 'NODE_UNREACHABLE', message: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/) });
  });

  it('is NODE_UNREACHABLE when it accepts connections and says nothing', async () => {
    const silent = createTcpServer(() => {}).listen(0, '127.0.0.1');
    cleanup.push(() => silent.close());
    await eventually(() => silent.listening);
    const address = `127.0.0.1:${(silent.address() as { port: number }).port}`;
    const error = await failureOf(connect(address).describeNode({}, { timeoutMs: 300 }));
    expect(error).toMatchObject({ code: 'NODE_UNREACHABLE', message: `db1 (${address}): no connection within 300 ms` });
  });

  it('is found again by the same client once it is back', async () => {
    const first = await serveAgent(db1, { describeNode: async () => ({ facts: { node: 'first' } }) });
    const client = connect(first.address);
    expect((await client.describeNode({})).facts?.node).toBe('first');
    await first.server.close();
    await eventually(async () => (await failureOf(client.describeNode({}))).code === 'NODE_UNREACHABLE');
    await serve({ describeNode: async () => ({ facts: { node: 'second' } }) }, { listen: first.address });
    expect((await client.describeNode({})).facts?.node).toBe('second');
  });
});

describe('a server', () => {
  it('says which address it cannot listen on', async () => {
    const { address } = await serve({});
    expect(await failureOf(serveAgent(db1, {}, { listen: address }))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: `listen: cannot listen on ${address}: EADDRINUSE`,
      hint: `Another process listens on ${address}; stop it or change \`listen\`.`,
    });
  });
});
