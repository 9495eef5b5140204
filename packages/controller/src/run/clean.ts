import { timestampDate } from '@bufbuild/protobuf/wkt';
import { toStillpointError } from '@stillpoint/shared/errors';
import { type CleanNodeResponse, LeftoverKind } from '@stillpoint/shared/proto';
import { durationOf } from '@stillpoint/shared/time';
import { onEveryNode } from '../agents/every-node.ts';
import type { NodeAgent } from '../agents/pool.ts';
import type { RunOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import type { CleanReport, CleanRequest, FoundLeftover, SilentNode } from '../retention/report.ts';
import { PLAIN_ENDINGS, runOperation, withNodes } from './operation.ts';
import { runPhase } from './phase.ts';
import { finishDeletions } from './retention.ts';
import { type Outlook, outlook, presentNodes } from './retention-outlook.ts';

/** What was found on the nodes, and which of them could not be asked. */
interface Cleaned {
  readonly leftovers: FoundLeftover[];
  readonly silent: SilentNode[];
}

/**
 * Finds what dead operations left behind on all nodes that can be reached, and removes it unless asked only to look; brings deletions
 * to their end that were begun. Throws NODE_BUSY, or what the first node says when none can be reached.
 */
export async function cleanNodes(context: ControllerContext, request: CleanRequest, options: RunOptions): Promise<CleanReport> {
  const { agents, config, store } = context;
  const olderThanMs = request.olderThanMs ?? config.clean.olderThan;
  if (request.dryRun) {
    const nodes = await presentNodes(context, options.signal);
    const there = await outlook(context, nodes, options.signal);
    const cleaned: Cleaned = { leftovers: [], silent: [...there.silent] };
    await onEveryNode(nodes.present, undefined, (agent) =>
      cleanNode(agent, { operationId: '', olderThanMs, there }, cleaned, options.signal),
    );
    const begun = store.catalog.deletions().map(({ setId, reason }) => ({
      ...{ setId, cutAt: '', state: 'failed' as const, outcome: 'removed' as const, reasons: [reason], bytes: 0, problems: [] },
    }));
    return { operationId: '', dryRun: true, ...inOrder(cleaned), deletions: begun, lost: lostShares(there) };
  }
  const record = store.journal.begin({ kind: 'clean', nodes: agents.all.map(({ node }) => node) });
  return runOperation(context, record, options, PLAIN_ENDINGS, async (operation) => {
    const nodes = await presentNodes(context, options.signal);
    const report = await withNodes(context, operation, nodes.present, async (signal) => {
      const there = await outlook(context, nodes, signal);
      const deletions = await finishDeletions(context, operation, { present: nodes.present, silent: there.silent }, signal);
      const cleaned: Cleaned = { leftovers: [], silent: [...there.silent] };
      const steps = nodes.present.map((agent) => ({ kind: 'clean', node: agent.node, agent }));
      await runPhase(operation, { phase: 'clean', steps }, undefined, ({ agent }) =>
        cleanNode(agent, { operationId: operation.id, olderThanMs, there }, cleaned, signal),
      );
      return { operationId: operation.id, dryRun: false, ...inOrder(cleaned), deletions, lost: lostShares(there) };
    });
    // A node that was lost meanwhile could not be given back: the next operation does that first.
    if (report.silent.length > nodes.silent.length) store.journal.setClaimsOpen(operation.id, true);
    return report;
  });
}

interface Order {
  readonly operationId: string;
  readonly olderThanMs: number;
  readonly there: Outlook;
}

/** One node; what it has done before it failed is told all the same. */
async function cleanNode(
  agent: NodeAgent,
  { operationId, olderThanMs, there }: Order,
  cleaned: Cleaned,
  signal: AbortSignal,
): Promise<void> {
  const { node } = agent;
  const request = { operationId, olderThan: durationOf(olderThanMs), committed: committedBeside(there, node) };
  try {
    for await (const found of agent.rpc.cleanNode(request, { signal })) cleaned.leftovers.push(leftoverOf(node, found));
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    cleaned.silent.push({ node, error: toStillpointError(thrown).on(node) });
  }
}

/** Sets that other nodes hold as committed. */
const committedBeside = ({ listings }: Outlook, node: string): string[] => [
  ...new Set(
    listings.flatMap((listing) =>
      'error' in listing || listing.node === node
        ? []
        : listing.holdings.filter(({ manifest }) => manifest.length > 0).map(({ setId }) => setId),
    ),
  ),
];

const KINDS: Readonly<Record<LeftoverKind, FoundLeftover['kind']>> = {
  [LeftoverKind.UNSPECIFIED]: 'other',
  [LeftoverKind.PART]: 'part',
  [LeftoverKind.DELETED_SET]: 'deleted-set',
  [LeftoverKind.SCRATCH]: 'scratch',
  [LeftoverKind.RESTORE]: 'restore',
  [LeftoverKind.PRECOPIED]: 'precopied',
};

const leftoverOf = (node: string, { kind, path, bytes, changedAt, reason, staysBecause, removed }: CleanNodeResponse): FoundLeftover => ({
  ...{ node, kind: KINDS[kind] ?? 'other', path, bytes: Number(bytes), reason, staysBecause, removed },
  changedAt: changedAt === undefined ? '' : timestampDate(changedAt).toISOString(),
});

const inOrder = ({ leftovers, silent }: Cleaned): Cleaned => ({
  leftovers: leftovers.sort((a, b) => (`${a.node} ${a.path}` < `${b.node} ${b.path}` ? -1 : 1)),
  silent,
});

/** Sets that have lost a share on a node that answers, with what is missing. */
const lostShares = ({ sets }: Outlook): CleanReport['lost'] =>
  sets.filter(({ state }) => state === 'incomplete').map(({ setId, reason }) => ({ setId, reason }));
