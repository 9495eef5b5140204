import { type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { isLostContact } from '../agents/contact.ts';
import type { NodeAgent } from '../agents/pool.ts';
import { abortReason, withoutNode } from '../agents/scope.ts';
import type { ControllerContext } from '../context.ts';
import type { SilentNode } from '../retention/report.ts';
import { deletePart } from './commit.ts';
import type { Operation } from './operation.ts';
import { runPhase } from './phase.ts';

/** Nodes on which sets are removed, and those of the cluster that cannot be reached. */
export interface Present {
  readonly present: readonly NodeAgent[];
  readonly silent: readonly SilentNode[];
}

/** What became of a set that was to be removed. */
export interface Removed {
  readonly bytes: number;
  /** Why nodes may still hold a share of it, a sentence each; empty when it is gone. */
  readonly problems: readonly string[];
}

/**
 * Removes a set from the nodes that can be reached. From the first moment it counts as deleted, and what is left of it on other nodes is
 * removed by a later run. Every node checks again for itself. Needs the claims of an operation. Throws only when that is cancelled
 * before the set was begun.
 */
export async function removeSet(
  { store }: ControllerContext,
  operation: Operation,
  setId: string,
  reason: string,
  { present, silent }: Present,
  signal: AbortSignal,
): Promise<Removed> {
  if (signal.aborted) throw abortReason(signal);
  store.catalog.beginDeletion(setId, reason);
  const problems = silent.map(({ node, error }) => problemOf(node, error));
  let bytes = 0;
  const steps = present.map((agent) => ({ kind: 'delete', node: agent.node, agent }));
  try {
    await runPhase(operation, { phase: `delete ${setId}`, steps }, undefined, async ({ node, agent }) => {
      try {
        const freed = await deletePart(agent, operation.id, setId);
        bytes += freed;
      } catch (thrown) {
        problems.push(problemOf(node, toStillpointError(thrown).on(node)));
        throw thrown;
      }
    });
  } catch (thrown) {
    // A node that failed has told why; the others are done with the set all the same.
    if (problems.length === silent.length) throw thrown;
  }
  if (problems.length === 0) store.catalog.remove(setId);
  return { bytes, problems };
}

const problemOf = (node: string, error: StillpointError): string =>
  isLostContact(error)
    ? `${node} could not be reached: its share is removed by a later run`
    : `${node}: ${error.code}: ${withoutNode(error).message}`;
