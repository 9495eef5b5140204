import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { isLostContact } from '../agents/contact.ts';
import type { RunOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import type { ProtectReport, SilentNode } from '../retention/report.ts';
import { PLAIN_ENDINGS, runOperation, withNodes } from './operation.ts';
import { runPhase } from './phase.ts';
import { presentNodes } from './retention-outlook.ts';

/**
 * Marks a set as protected on all of its nodes, or takes the mark away. A set is protected for as long as any node has the mark. Nodes
 * out of reach are named in the report. Throws SET_NOT_FOUND, NODE_BUSY, or what the first node says when none could be told.
 */
export async function protectSet(
  context: ControllerContext,
  wanted: string,
  protect: boolean,
  options: RunOptions,
): Promise<ProtectReport> {
  const { agents, store } = context;
  const { setId, members } = store.catalog.restorable(wanted);
  const names = agents.all.map(({ node }) => node).filter((name) => members.some(({ node }) => node === name));
  if (names.length === 0) throw new StillpointError('NODE_UNKNOWN', `none of the nodes of set ${setId} is configured any more`);
  const record = store.journal.begin({ kind: 'protect', setId, nodes: names });
  return runOperation(context, record, options, PLAIN_ENDINGS, async (operation) => {
    const { present, silent: away } = await presentNodes(context, options.signal);
    const holders = present.filter(({ node }) => names.includes(node));
    const silent: SilentNode[] = away.filter(({ node }) => names.includes(node));
    const report = await withNodes(context, operation, holders, async () => {
      const nodes: string[] = [];
      const steps = holders.map((agent) => ({ kind: protect ? 'protect' : 'unprotect', node: agent.node, agent }));
      await runPhase(operation, { phase: protect ? 'protect' : 'unprotect', steps }, undefined, async ({ node, agent }) => {
        try {
          await agent.rpc.protectSet({ operationId: operation.id, setId, protect });
          nodes.push(node);
        } catch (thrown) {
          const error = toStillpointError(thrown).on(node);
          // One that has lost its share has nothing to protect.
          if (error.code === 'SET_NOT_FOUND') return;
          if (!isLostContact(error)) throw error;
          silent.push({ node, error });
        }
      });
      if (nodes.length === 0) throw silent[0]?.error ?? new StillpointError('SET_NOT_FOUND', `no node holds set ${setId} any more`);
      if (protect || silent.length === 0) store.catalog.setProtected(setId, protect);
      return { setId, protect, nodes: nodes.sort(), silent };
    });
    // A node that was lost meanwhile could not be given back: the next operation does that first.
    if (report.silent.some(({ node }) => holders.some((holder) => holder.node === node))) store.journal.setClaimsOpen(operation.id, true);
    return report;
  });
}
