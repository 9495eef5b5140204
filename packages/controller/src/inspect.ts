import { toStillpointError } from '@stillpoint/shared/errors';
import { CheckStatus } from '@stillpoint/shared/proto';
import { onEveryNode } from './agents/every-node.ts';
import { factsOrSilence, type NodeAnswer } from './agents/facts.ts';
import { readPart } from './agents/part.ts';
import type { ClusterChecks, NodeChecks, NodeReport, SetDetail } from './api.ts';
import type { ControllerContext } from './context.ts';
import { inspectExpiry } from './pki/index.ts';
import { clusterChecks } from './plan/cluster-checks.ts';
import { checkNode } from './run/fitness.ts';

/** What every node is. */
export async function describeCluster({ agents, clock }: ControllerContext, signal: AbortSignal): Promise<NodeReport[]> {
  const readings = await factsOrSilence(agents.all, clock, signal);
  return readings.map((reading) => {
    const { node, address } = reading;
    return 'facts' in reading ? { node, address, facts: reading.facts } : { node, address, error: reading.error };
  });
}

/** Whether every node, and all of them together, are fit for an operation. */
export async function checkCluster(context: ControllerContext, purpose: 'backup' | 'restore', signal: AbortSignal): Promise<ClusterChecks> {
  const { agents, clock, config } = context;
  const readings = await factsOrSilence(agents.all, clock, signal);
  const nodes = await onEveryNode(readings, undefined, async (reading): Promise<NodeChecks> => {
    const { node } = reading;
    if ('error' in reading) return { node, results: [], error: reading.error };
    try {
      return { node, results: await checkNode(agents.get(node), purpose, signal) };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return { node, results: [], error: toStillpointError(thrown).on(node) };
    }
  });
  const answers = readings.filter((reading): reading is NodeAnswer => 'facts' in reading);
  const silent = readings.filter((reading) => 'error' in reading).map(({ node }) => node);
  const cluster = clusterChecks({ purpose, nodes: answers, silent, expiry: inspectExpiry(config.tls, clock) });
  const failed = [...cluster, ...nodes.flatMap(({ results }) => results)].some(({ status }) => status === CheckStatus.FAILED);
  return { nodes, cluster, ok: !failed && nodes.every(({ error }) => error === undefined) };
}

/** A set with the parts that can be read. Throws SET_NOT_FOUND. */
export async function showSet({ agents, store }: ControllerContext, wanted: string, signal: AbortSignal): Promise<SetDetail> {
  const set = store.catalog.restorable(wanted);
  const parts = await onEveryNode(set.members, undefined, async ({ node }) => {
    try {
      const reading = await readPart(agents.get(node), set.setId, signal);
      return 'part' in reading ? { node, part: reading.part } : { node, error: reading.error };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return { node, error: toStillpointError(thrown).on(node) };
    }
  });
  return { set, isProtected: store.catalog.find(set.setId)?.summary.isProtected === true, parts };
}
