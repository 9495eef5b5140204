import { StillpointError } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';
import { onEveryNode } from './every-node.ts';
import { abortReason, openScope } from './scope.ts';

const NODES = [{ node: 'db1' }, { node: 'db2' }, { node: 'db3' }];
const never = new AbortController().signal;

/** Ends when it is stopped. */
const untilStopped = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true }));

const failureOf = async (work: Promise<unknown>): Promise<StillpointError> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof StillpointError) return error;
  }
  throw new Error('did not fail as it should');
};

describe('onEveryNode', () => {
  it('gives results in the order of the nodes', async () => {
    expect(await onEveryNode(NODES, undefined, async ({ node }) => node)).toEqual(['db1', 'db2', 'db3']);
  });

  it('without a scope lets the others finish, and mentions all failures', async () => {
    const settled: string[] = [];
    const error = await failureOf(
      onEveryNode(NODES, undefined, async ({ node }) => {
        settled.push(node);
        if (node !== 'db1') throw new StillpointError('SERVER_DOWN', `${node} is down`);
      }),
    );
    expect(settled).toEqual(['db1', 'db2', 'db3']);
    expect(error).toMatchObject({ code: 'SERVER_DOWN', node: 'db2', message: 'db2 is down (also db3: SERVER_DOWN: db3 is down)' });
  });

  it('with a scope stops the others at the first failure, and waits for them', async () => {
    const scope = openScope(never);
    const stopped: string[] = [];
    const error = await failureOf(
      onEveryNode(NODES, scope, async ({ node }) => {
        if (node === 'db2') throw new StillpointError('DISK_FULL', 'no space');
        await untilStopped(scope.signal).finally(() => stopped.push(node));
      }),
    );
    expect(stopped).toEqual(['db1', 'db3']);
    expect(error).toMatchObject({ code: 'DISK_FULL', node: 'db2', message: 'no space' });
  });

  it('reports what stopped the scope from outside, not what failed for it', async () => {
    const outside = new AbortController();
    const scope = openScope(outside.signal);
    const work = onEveryNode(NODES, scope, async ({ node }) => {
      if (node === 'db1') await untilStopped(scope.signal);
      await untilStopped(scope.signal).catch(() => {
        throw new StillpointError('HOLD_LOST', 'gone meanwhile');
      });
    });
    outside.abort();
    expect(await failureOf(work)).toMatchObject({ code: 'CANCELLED' });
  });

  it('names the sessions that stood in the way on any node', async () => {
    const blocker = (connectionId: number) => ({ connectionId, user: 'app', host: '', ageMs: 0, command: '', statement: '', lockMode: '' });
    const error = await failureOf(
      onEveryNode(NODES, undefined, async ({ node }) => {
        throw new StillpointError('LOCK_TIMEOUT', 'no', { blockers: [blocker(Number(node.slice(2)))] });
      }),
    );
    expect(error.blockers.map(({ connectionId }) => connectionId)).toEqual([1, 2, 3]);
  });
});
