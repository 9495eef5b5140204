import { connect as connectTcp, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type TestAuthority, testAuthority } from '../../../../test/harness/certificates.ts';
import { eventually } from '../../../../test/harness/eventually.ts';
import { agentClient, failureOf, serveAgent } from '../../../../test/harness/served.ts';
import type { TlsSetting } from '../config/index.ts';
import type { AgentService } from '../proto/index.ts';
import type { CallContext, Implementation } from './index.ts';

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

/** Waits until aborted, and throws why. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });

describe('a connection that is cut', () => {
  /** A way to the agent that can be cut as a network is: nothing comes through any more, and nobody is told. */
  async function way(to: string): Promise<{ address: string; cut(): void }> {
    const sockets: Socket[] = [];
    let whole = true;
    const proxy: Server = createTcpServer((near) => {
      const far = connectTcp(Number(to.split(':')[1]), '127.0.0.1');
      sockets.push(near, far);
      for (const [from, into] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('data', (bytes) => whole && into.write(bytes));
        from.on('close', () => whole && into.destroy());
        from.on('error', () => {});
      }
    }).listen(0, '127.0.0.1');
    await eventually(() => proxy.listening);
    cleanup.push(() => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    });
    return {
      address: `127.0.0.1:${(proxy.address() as { port: number }).port}`,
      cut: () => {
        whole = false;
      },
    };
  }

  it('is CONNECTION_LOST for the caller and aborts the handler, without anything being sent', { timeout: 30_000 }, async () => {
    let context: CallContext | undefined;
    const agent = await serve({
      listSets: async function* (_request, call) {
        context = call;
        yield { setId: 'one' };
        await aborted(call.signal);
      },
    });
    const { address, cut } = await way(agent);
    const { client, close } = agentClient(ops, address);
    cleanup.push(close);
    const error = await failureOf(
      (async () => {
        for await (const _ of client.listSets({})) cut();
      })(),
    );
    expect(error).toMatchObject({ code: 'CONNECTION_LOST', node: 'db1', message: `db1 (${address}): ListSets: the connection broke` });
    await eventually(() => context?.signal.aborted);
    expect(context?.signal.reason).toMatchObject({ code: 'CANCELLED' });
  });
});
