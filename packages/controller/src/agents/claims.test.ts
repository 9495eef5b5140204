import { StillpointError } from '@stillpoint/shared/errors';
import { expect, it } from 'vitest';
import { type FakeClock, fakeClock } from '../../../../test/harness/fake-clock.ts';
import type { OperationEvent } from '../events.ts';
import { withClaims } from './claims.ts';
import type { NodeAgent } from './pool.ts';

const CLAIMANT = { operationId: 'backup-1', kind: 'backup', owner: 'ops@host, pid 1' };

interface Call {
  readonly renew?: boolean;
}

/** An agent that answers to claims as `answer` says. */
function agent(node: string, answer: (call: Call, timeoutMs: number) => Promise<unknown>): NodeAgent {
  const rpc = {
    claimNode: (call: Call, { timeoutMs }: { timeoutMs: number }) => answer(call, timeoutMs),
    releaseNode: async () => ({}),
  };
  return { node, address: `${node}:7443`, rpc: rpc as unknown as NodeAgent['rpc'] };
}

/** Holds claims until the returned function is called, or the work is stopped. */
function holding(clock: FakeClock, agents: readonly NodeAgent[]) {
  const work = Promise.withResolvers<void>();
  const held = withClaims(agents, CLAIMANT, { clock, observe: () => {}, signal: new AbortController().signal }, (signal) => {
    signal.addEventListener('abort', () => work.reject(signal.reason));
    return work.promise;
  });
  return { held, end: work.resolve };
}

it('a frozen agent does not keep the claims of others from being renewed', async () => {
  const clock = fakeClock();
  const renewedAt: number[] = [];
  const healthy = agent('db1', async ({ renew }) => {
    if (renew) renewedAt.push(clock.monotonicMs());
  });
  const frozen = agent('db2', async ({ renew }, timeoutMs) => {
    if (!renew) return;
    await clock.sleep(timeoutMs);
    throw new StillpointError('DEADLINE', 'no answer');
  });
  const { held, end } = holding(clock, [healthy, frozen]);
  await clock.pass(12_500);
  end();
  await clock.pass(3_000);
  await held;
  expect(renewedAt).toEqual([3_000, 6_000, 9_000, 12_000]);
});

it.each(['CLAIM_MISSING', 'NODE_BUSY'] as const)('a claim that is lost (%s) ends the work', async (code) => {
  const clock = fakeClock();
  const calls: Call[] = [];
  const lost = agent('db1', async (call) => {
    calls.push(call);
    if (calls.length > 1) throw new StillpointError(code, 'not yours');
  });
  const { held } = holding(clock, [lost]);
  const failed = expect(held).rejects.toMatchObject({ code, node: 'db1' });
  await clock.pass(3_000);
  await failed;
  expect(calls.map(({ renew }) => renew ?? false)).toEqual([false, true]);
});

it.each([
  ['that has succeeded', async () => {}, false],
  ['that has failed', () => Promise.reject(new StillpointError('LOCK_TIMEOUT', 'busy')), true],
  ['that ran out of space', () => Promise.reject(new StillpointError('DISK_FULL', 'full')), false],
  ['that was cancelled', (cancel: AbortController) => Promise.reject(cancel.abort(new StillpointError('CANCELLED', 'stopped'))), false],
] as const)('an operation %s gives its nodes back as broken off: %3$s', async (_how, work, brokenOff) => {
  const asked: unknown[] = [];
  const { rpc, ...rest } = agent('db1', async () => {});
  const releaseNode = async (request: unknown): Promise<void> => void asked.push(request);
  const node = { ...rest, rpc: { ...rpc, releaseNode } as unknown as NodeAgent['rpc'] };
  const cancel = new AbortController();
  const context = { clock: fakeClock(), observe: () => {}, signal: cancel.signal };
  await withClaims([node], CLAIMANT, context, () => work(cancel)).catch(() => {});
  expect(asked).toEqual([{ operationId: 'backup-1', brokenOff }]);
});

it('tells that a node could not be given back only when it was claimed, and tries both', async () => {
  const asked: string[] = [];
  const told: string[] = [];
  const unreachable = async (): Promise<never> => {
    throw new StillpointError('NODE_UNREACHABLE', 'ECONNREFUSED');
  };
  const agents = ['db1', 'db2'].map((node): NodeAgent => {
    const { rpc, ...rest } = agent(node, node === 'db1' ? async () => {} : unreachable);
    const releaseNode = async (): Promise<never> => {
      asked.push(node);
      return unreachable();
    };
    return { ...rest, rpc: { ...rpc, releaseNode } };
  });
  const observe = (event: OperationEvent): void => void (event.type === 'log' && told.push(event.node));
  const context = { clock: fakeClock(), observe, signal: new AbortController().signal };
  await expect(withClaims(agents, CLAIMANT, context, async () => {})).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  expect(asked.toSorted()).toEqual(['db1', 'db2']);
  expect(told).toEqual(['db1']);
});
