import { toStillpointError } from '@stillpoint/shared/errors';
import type { SetMember } from '@stillpoint/shared/manifest';
import { readPart } from '../agents/part.ts';
import { runTask } from '../agents/task.ts';
import type { RunOptions, VerifyReport } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import { type Operation, PLAIN_ENDINGS, runOperation, withNodes } from './operation.ts';
import { runPhase } from './phase.ts';

type NodeVerdict = VerifyReport['nodes'][number];

/** Has every node of a set read its part back. What is wrong with a part is in the report; only what kept us from looking is thrown. */
export function verifySet(context: ControllerContext, wanted: string, options: RunOptions): Promise<VerifyReport> {
  const { agents, store } = context;
  const { setId, members } = store.catalog.restorable(wanted);
  const involved = members.map(({ node }) => agents.get(node));
  const record = store.journal.begin({ kind: 'verify', setId, nodes: members.map(({ node }) => node) });
  return runOperation(context, record, options, PLAIN_ENDINGS, (operation) =>
    withNodes(context, operation, involved, async (signal) => {
      const verdicts: NodeVerdict[] = [];
      const steps = members.map((member) => ({ kind: 'verify', node: member.node, member }));
      await runPhase(operation, { phase: 'verify', steps }, undefined, async ({ member }) => {
        verdicts.push(await verdictOf(context, operation, member, signal));
      });
      return { setId, ok: verdicts.every(({ problems }) => problems.length === 0), nodes: verdicts };
    }),
  );
}

/** An unusable part is a verdict, not a failure of the verification. */
async function verdictOf(context: ControllerContext, operation: Operation, member: SetMember, signal: AbortSignal): Promise<NodeVerdict> {
  try {
    return await verifyPart(context, operation, member, signal);
  } catch (thrown) {
    const error = toStillpointError(thrown);
    if (error.row.exit !== 'VERIFY_FAILED' && error.code !== 'PART_NOT_FOUND' && error.code !== 'SET_NOT_FOUND') throw error;
    return { node: member.node, bytes: 0, problems: [error.message] };
  }
}

async function verifyPart(
  { agents, clock }: ControllerContext,
  operation: Operation,
  member: SetMember,
  signal: AbortSignal,
): Promise<NodeVerdict> {
  const { node, partSha256 } = member;
  const { id: operationId, observe, record } = operation;
  const { setId } = record;
  const agent = agents.get(node);
  const spec = async () => ({ task: { case: 'verify' as const, value: { setId } } });
  const { result } = await runTask(agent, { operationId, taskId: 'verify', spec }, { clock, observe, signal });
  const reading = await readPart(agent, setId, signal);
  const replaced = 'sha256' in reading && reading.sha256 !== partSha256 ? ['part.json is not the one that the set recorded'] : [];
  if (result.case !== 'verify') return { node, bytes: 0, problems: replaced };
  const { bytes, problems, unopened } = result.value;
  return { node, bytes: Number(bytes), problems: [...problems, ...replaced], ...(unopened === '' ? {} : { unopened }) };
}
