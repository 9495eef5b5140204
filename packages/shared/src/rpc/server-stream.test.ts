import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type TestAuthority, testAuthority } from '../../../../test/harness/certificates.ts';
import { eventually } from '../../../../test/harness/eventually.ts';
import { agentClient, drain, failureOf, serveAgent } from '../../../../test/harness/served.ts';
import type { TlsSetting } from '../config/index.ts';
import { StillpointError } from '../errors/index.ts';
import type { AgentService } from '../proto/index.ts';
import type { CallContext, Connection, Implementation } from './index.ts';

type Agent = Implementation<typeof AgentService>;

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

async function serve(calls: Partial<Agent>): Promise<string> {
  const { server, address } = await serveAgent(db1, calls);
  cleanup.push(() => server.close());
  return address;
}

async function serveTo(calls: Partial<Agent>): Promise<Connection<typeof AgentService>['client']> {
  const { client, close } = agentClient(ops, await serve(calls));
  cleanup.push(close);
  return client;
}

/** Waits until aborted, and throws why. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });

describe('a stream from the server', () => {
  it('brings all messages in order', async () => {
    const client = await serveTo({
      listSets: async function* () {
        for (let i = 0; i < 1000; i++) yield { setId: `set-${i}` };
      },
    });
    const sets = await drain(client.listSets({}));
    expect(sets.map(({ setId }) => setId)).toEqual(Array.from({ length: 1000 }, (_, i) => `set-${i}`));
  });

  // 100 MiB through TLS in one process: quick as a rule, but not on a machine that is busy with other things.
  it('is paced by a slow reader: few messages are under way, however many there are', { timeout: 60_000 }, async () => {
    const pieces = 400;
    let made = 0;
    const client = await serveTo({
      fetchShard: async function* () {
        for (; made < pieces; made++) yield { data: new Uint8Array(256 * 1024).fill(made) };
      },
    });
    let taken = 0;
    let furthestAhead = 0;
    for await (const { data } of client.fetchShard({})) {
      expect(data[0]).toBe(taken % 256);
      taken += 1;
      for (let i = 0; i < 20; i++) await turn();
      furthestAhead = Math.max(furthestAhead, made - taken);
    }
    expect(taken).toBe(pieces);
    // 16 messages in the reader, the window of 1 MiB, one in the writer; and what the sockets hold.
    expect(furthestAhead).toBeLessThan(60);
  });

  it('brings what came before an error, then the error', async () => {
    const client = await serveTo({
      listSets: async function* () {
        yield { setId: 'one' };
        yield { setId: 'two' };
        throw new StillpointError('PART_CORRUPT', 'bad bytes');
      },
    });
    const got: string[] = [];
    const error = await failureOf(
      (async () => {
        for await (const { setId } of client.listSets({})) got.push(setId);
      })(),
    );
    expect(got).toEqual(['one', 'two']);
    expect(error).toMatchObject({ code: 'PART_CORRUPT', message: 'bad bytes', node: 'db1' });
  });

  it('tells the handler that its reader has stopped reading', async () => {
    let context: CallContext | undefined;
    let ended = false;
    const client = await serveTo({
      listSets: async function* (_request, call) {
        context = call;
        try {
          yield { setId: 'one' };
          await aborted(call.signal);
        } finally {
          ended = true;
        }
      },
    });
    for await (const { setId } of client.listSets({})) {
      expect(setId).toBe('one');
      break;
    }
    await eventually(() => ended);
    expect(context?.signal.reason).toMatchObject({ code: 'CANCELLED' });
  });

  it('ends the handler of a reader that has gone, even if it only ever yields', async () => {
    let ended = false;
    const client = await serveTo({
      fetchShard: async function* () {
        try {
          for (;;) yield { data: new Uint8Array(1024) };
        } finally {
          ended = true;
        }
      },
    });
    const abort = new AbortController();
    const reason = new StillpointError('CANCELLED', 'enough');
    const error = await failureOf(
      (async () => {
        let count = 0;
        for await (const _ of client.fetchShard({}, { signal: abort.signal })) if (++count === 5) abort.abort(reason);
      })(),
    );
    expect(error).toBe(reason);
    await eventually(() => ended);
  });

  it('is DEADLINE when its time has passed', async () => {
    const client = await serveTo({
      listSets: async function* (_request, { signal }) {
        yield { setId: 'one' };
        await aborted(signal);
      },
    });
    expect(await failureOf(drain(client.listSets({}, { timeoutMs: 300 })))).toMatchObject({ code: 'DEADLINE', node: 'db1' });
  });

  it('is NODE_UNREACHABLE when nobody is there', async () => {
    const { client, close } = agentClient(ops, '127.0.0.1:1');
    cleanup.push(close);
    expect((await failureOf(drain(client.listSets({})))).code).toBe('NODE_UNREACHABLE');
  });

  it('is CONNECTION_LOST when the server stops', async () => {
    const { server, address } = await serveAgent(db1, {
      listSets: async function* (_request, { signal }) {
        yield { setId: 'one' };
        await aborted(signal);
      },
    });
    const { client, close } = agentClient(ops, address);
    cleanup.push(close);
    const stream = client.listSets({})[Symbol.asyncIterator]();
    await stream.next();
    const next = failureOf(stream.next());
    await server.close();
    expect(await next).toMatchObject({ code: 'CONNECTION_LOST', message: 'the agent of db1 is stopping' });
  });
});
