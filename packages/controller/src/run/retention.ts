import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { RunOptions } from '../api.ts';
import type { ControllerContext } from '../context.ts';
import { hasRules, judgeRetention, type RetentionRules, removalOrder, type Verdict } from '../retention/policy.ts';
import type { PrunedSet, PruneReport } from '../retention/report.ts';
import { type Operation, PLAIN_ENDINGS, runOperation, withNodes } from './operation.ts';
import { type Outlook, outlook, presentNodes } from './retention-outlook.ts';
import { type Present, type Removed, removeSet } from './retention-remove.ts';

/** What `pruneSets` would remove; nothing is touched. Without rules those of the configuration count. Throws USAGE when there are none. */
export async function planPrune(context: ControllerContext, rules: RetentionRules | undefined, signal: AbortSignal): Promise<PruneReport> {
  const wanted = rulesOf(context, rules);
  const there = await outlook(context, await presentNodes(context, signal), signal);
  const verdicts = judgeRetention(there.sets, wanted, context.clock.now());
  const begun = context.store.catalog.deletions().map((deletion) => unfinished(deletion, { bytes: 0, problems: [] }));
  return { operationId: '', dryRun: true, sets: [...verdicts.map((verdict) => foretold(verdict, there)), ...begun], silent: there.silent };
}

/**
 * Removes the sets that no rule keeps, and what earlier deletions left on nodes that were away. Nodes out of reach do not keep it from
 * the others. Without rules those of the configuration count. Throws USAGE when there are none, and NODE_BUSY.
 */
export async function pruneSets(context: ControllerContext, rules: RetentionRules | undefined, options: RunOptions): Promise<PruneReport> {
  const { agents, clock, store } = context;
  const wanted = rulesOf(context, rules);
  const record = store.journal.begin({ kind: 'prune', nodes: agents.all.map(({ node }) => node) });
  return runOperation(context, record, options, PLAIN_ENDINGS, async (operation) => {
    const nodes = await presentNodes(context, options.signal);
    const report = await withNodes(context, operation, nodes.present, async (signal) => {
      // Nobody but us changes anything on these nodes from here on.
      const there = await outlook(context, nodes, signal);
      const present: Present = { present: nodes.present.filter(({ node }) => isPresent(there, node)), silent: there.silent };
      const finished = await finishDeletions(context, operation, present, signal);
      const verdicts = judgeRetention(there.sets, wanted, clock.now());
      const removed = await removeInOrder(context, operation, { verdicts, there, present }, signal);
      const sets = verdicts.map((verdict) => prunedSet(verdict, removed.get(verdict.setId), there));
      return { operationId: operation.id, dryRun: false, sets: [...sets, ...finished], silent: there.silent };
    });
    // A node that was lost meanwhile could not be given back: the next operation does that first.
    if (report.sets.some(({ outcome }) => outcome === 'begun')) store.journal.setClaimsOpen(operation.id, true);
    return report;
  });
}

/**
 * The end of a good backup: removes what the configuration does not keep. Its failure is told as a warning and thrown to nobody, as the
 * set is good. Undefined when the configuration has no rules, or nothing came of it.
 */
export async function pruneAfterBackup(context: ControllerContext, options: RunOptions): Promise<PruneReport | undefined> {
  if (!hasRules(context.config.backup.retention)) return undefined;
  const warn = (message: string, hint: string): void => options.observe({ type: 'warning', node: '', message, hint });
  const hint = 'The new set is good. `stillpoint backup prune` removes them; so does the next backup.';
  try {
    const report = await pruneSets(context, undefined, options);
    for (const { setId, problems } of report.sets)
      for (const problem of problems) warn(`set ${setId} is not removed everywhere: ${problem}`, hint);
    return report;
  } catch (thrown) {
    const { code, message } = toStillpointError(thrown);
    warn(`old sets were not removed: ${code}: ${message}`, hint);
    return undefined;
  }
}

function rulesOf({ config }: ControllerContext, given: RetentionRules | undefined): RetentionRules {
  const rules = given ?? config.backup.retention;
  if (hasRules(rules)) return rules;
  throw new StillpointError('USAGE', 'no rule says which sets to keep', {
    hint: 'Set backup.retention in the cluster configuration, or say --keep-last 7, for example.',
  });
}

const isPresent = ({ silent }: Outlook, node: string): boolean => !silent.some((other) => other.node === node);

/** Goes on with deletions that were begun and could not be brought to their end. Needs the claims of an operation. */
export async function finishDeletions(
  context: ControllerContext,
  operation: Operation,
  present: Present,
  signal: AbortSignal,
): Promise<PrunedSet[]> {
  const finished: PrunedSet[] = [];
  for (const deletion of context.store.catalog.deletions()) {
    const removed = await removeSet(context, operation, deletion.setId, deletion.reason, present, signal);
    finished.push(unfinished(deletion, removed));
  }
  return finished;
}

/** Those that need others before the others: a node removes none that a set which it holds needs. */
async function removeInOrder(
  context: ControllerContext,
  operation: Operation,
  { verdicts, there, present }: { readonly verdicts: readonly Verdict[]; readonly there: Outlook; readonly present: Present },
  signal: AbortSignal,
): Promise<Map<string, Removed>> {
  const removed = new Map<string, Removed>();
  const going = new Set(verdicts.filter(({ keep }) => !keep).map(({ setId }) => setId));
  for (const { setId, nodes } of removalOrder(there.sets.filter((set) => going.has(set.setId)))) {
    const reason = `its deletion was begun by ${operation.id}: no rule keeps it`;
    const of: Present = { ...present, silent: present.silent.filter(({ node }) => nodes.includes(node)) };
    removed.set(setId, await removeSet(context, operation, setId, reason, of, signal));
  }
  return removed;
}

function prunedSet(verdict: Verdict, removed: Removed | undefined, there: Outlook): PrunedSet {
  if (removed === undefined) return foretold(verdict, there);
  const { setId, cutAt, state, reasons } = verdict;
  const outcome = removed.problems.length === 0 ? 'removed' : 'begun';
  return { setId, cutAt, state, outcome, reasons, ...removed };
}

function foretold({ setId, cutAt, state, keep, reasons }: Verdict, { sets }: Outlook): PrunedSet {
  const bytes = sets.find((set) => set.setId === setId)?.storedBytes ?? 0;
  return { setId, cutAt, state, outcome: keep ? 'kept' : 'removed', reasons, bytes, problems: [] };
}

const unfinished = ({ setId, reason }: { readonly setId: string; readonly reason: string }, removed: Removed): PrunedSet => ({
  ...{ setId, cutAt: '', state: 'failed', reasons: [reason] },
  outcome: removed.problems.length === 0 ? 'removed' : 'begun',
  ...removed,
});
