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

const renewal = { request: { case: 'renew' as const, value: {} } };
const renewed = { response: { case: 'renewed' as const, value: {} } };

/** One renewal. */
async function* requestsOf() {
  yield renewal;
}

/** Waits until aborted, and throws why. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });

describe('a stream both ways', () => {
  it('answers each request as it comes', async () => {
    const client = await serveTo({
      hold: async function* (requests) {
        for await (const { request } of requests) if (request.case === 'renew') yield renewed;
      },
    });
    const asked: number[] = [];
    const answered: number[] = [];
    async function* ask() {
      for (let i = 0; i < 5; i++) {
        asked.push(i);
        yield renewal;
        await eventually(() => answered.includes(i));
      }
    }
    for await (const { response } of client.hold(ask())) {
      expect(response.case).toBe('renewed');
      answered.push(answered.length);
      expect(asked).toHaveLength(answered.length);
    }
    expect(answered).toHaveLength(5);
  });

  it('lets the server speak after the last request', async () => {
    const client = await serveTo({
      hold: async function* (requests) {
        for await (const _ of requests) yield renewed;
        yield { response: { case: 'released', value: {} } };
      },
    });
    const answers = await drain(client.hold(requestsOf()));
    expect(answers.map(({ response }) => response.case)).toEqual(['renewed', 'released']);
  });

  it('ends with the error of the handler while the caller still has requests to come', async () => {
    const client = await serveTo({
      hold: async function* (requests) {
        for await (const _ of requests) {
          yield renewed;
          throw new StillpointError('HOLD_LOST', 'the session was killed');
        }
      },
    });
    const quiet = new AbortController();
    let told = false;
    async function* ask() {
      try {
        yield renewal;
        yield renewal;
        await aborted(quiet.signal).catch(() => {});
      } finally {
        told = true;
      }
    }
    expect(await failureOf(drain(client.hold(ask())))).toMatchObject({ code: 'HOLD_LOST', node: 'db1' });
    quiet.abort();
    await eventually(() => told);
  });

  it('ends with the error of the requests, and ends the handler', async () => {
    let started = false;
    let ended = false;
    const client = await serveTo({
      hold: async function* (requests) {
        started = true;
        try {
          for await (const _ of requests) yield renewed;
        } finally {
          ended = true;
        }
      },
    });
    async function* ask() {
      yield renewal;
      await eventually(() => started);
      throw new RangeError('no such lease');
    }
    expect(await failureOf(drain(client.hold(ask())))).toMatchObject({ code: 'INTERNAL', message: 'no such lease' });
    await eventually(() => ended);
  });

  it('ends a handler that waits for a request when its caller aborts', async () => {
    let ended = false;
    const client = await serveTo({
      hold: async function* (requests) {
        try {
          for await (const _ of requests) yield renewed;
        } finally {
          ended = true;
        }
      },
    });
    const abort = new AbortController();
    const forever = new AbortController();
    async function* ask() {
      yield renewal;
      await aborted(forever.signal);
    }
    const reason = new StillpointError('CANCELLED', 'ctrl-c');
    const call = failureOf(
      (async () => {
        for await (const _ of client.hold(ask(), { signal: abort.signal })) abort.abort(reason);
      })(),
    );
    expect(await call).toBe(reason);
    await eventually(() => ended);
    forever.abort();
  });

  it('aborts a handler that waits for something else when its caller aborts', async () => {
    let context: CallContext | undefined;
    const client = await serveTo({
      hold: async function* (_requests, call) {
        context = call;
        yield renewed;
        await aborted(call.signal);
      },
    });
    for await (const _ of client.hold(requestsOf())) break;
    await eventually(() => context?.signal.aborted);
    expect(context?.signal.reason).toMatchObject({ code: 'CANCELLED', message: 'the caller has gone' });
  });

  it('aborts a handler that waits for a request when the server stops', async () => {
    const reasons: unknown[] = [];
    const { server, address } = await serveAgent(db1, {
      hold: async function* (requests) {
        try {
          for await (const _ of requests) yield renewed;
        } catch (error) {
          reasons.push(error);
          throw error;
        }
      },
    });
    const { client, close } = agentClient(ops, address);
    cleanup.push(close);
    const forever = new AbortController();
    async function* ask() {
      yield renewal;
      await aborted(forever.signal);
    }
    const answers = client.hold(ask())[Symbol.asyncIterator]();
    await answers.next();
    const last = failureOf(answers.next());
    await server.close();
    expect(reasons[0]).toMatchObject({ code: 'CONNECTION_LOST' });
    expect(await last).toMatchObject({ code: 'CONNECTION_LOST', message: 'the agent of db1 is stopping' });
    forever.abort();
  });

  it('is paced by a slow server', async () => {
    let taken = 0;
    let made = 0;
    let furthestAhead = 0;
    const requests = 3000;
    const client = await serveTo({
      hold: async function* (incoming) {
        for await (const _ of incoming) {
          taken += 1;
          await turn();
          furthestAhead = Math.max(furthestAhead, made - taken);
        }
        yield renewed;
      },
    });
    async function* ask() {
      // About 1 KiB each.
      for (; made < requests; made++) yield { request: { case: 'attach' as const, value: { operationId: 'x'.repeat(1024) } } };
    }
    await drain(client.hold(ask()));
    expect(taken).toBe(requests);
    // 16 in the reader, and a window of 64 KiB or 1 MiB.
    expect(furthestAhead).toBeLessThan(1200);
  });
});
