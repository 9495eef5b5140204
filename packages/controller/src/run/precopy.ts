import { formatDuration } from '@stillpoint/shared/time';
import { openScope } from '../agents/scope.ts';
import { type BackupRun, runBackupPhase } from './backup-run.ts';

/** How a pass before the still point went on one node. */
export interface Precopied {
  /** Bytes read. */
  readonly bytes: number;
  readonly ms: number;
  /** Bytes that had changed again by its end. */
  readonly changedBytes: number;
}

/** The part of the budget that reading what has changed may take: there is more to do while writers wait. */
const SHARE = 0.5;
/** A pass that leaves more than this part of what the one before left has reached what clients write meanwhile. */
const WORTH_ANOTHER = 0.8;

/**
 * Brings over what can be had while clients write. As long as what has changed again meanwhile is expected to take more than the lock budget
 * allows, and every pass leaves less of it, another pass is made. What is expected after the last one is only said: the budget itself decides.
 * Throws what the phase throws.
 */
export async function precopy(run: BackupRun, signal: AbortSignal): Promise<void> {
  const { maxBlock, precopyPasses } = run.settings;
  let before = Number.POSITIVE_INFINITY;
  for (let pass = 1; ; pass += 1) {
    await runBackupPhase(run, 'precopy', openScope(signal));
    const worst = longestExpected(run.precopied);
    if (worst === undefined || worst.ms <= maxBlock * SHARE) return;
    const { node, ms } = worst;
    const message = `reading again what has changed since would take about ${formatDuration(ms)} of the ${formatDuration(maxBlock)} that writers may wait`;
    const isWorth = pass < precopyPasses && ms < before * WORTH_ANOTHER;
    if (isWorth) run.operation.observe({ type: 'log', node, message: `${message}: another pass is made first` });
    else return run.operation.observe({ type: 'warning', node, message, hint: '' });
    before = ms;
  }
}

/**
 * The node on which reading again what has changed is expected to take longest, by the best rate at which the node has read so far: a short
 * pass mostly looks at files. Undefined when nothing has changed anywhere. Pure.
 */
export function longestExpected(
  passes: ReadonlyMap<string, readonly Precopied[]>,
): { readonly node: string; readonly ms: number } | undefined {
  const expected = [...passes].flatMap(([node, of]) => {
    const changedBytes = of.at(-1)?.changedBytes ?? 0;
    const bytesPerMs = Math.max(0, ...of.map(({ bytes, ms }) => (ms > 0 ? bytes / ms : 0)));
    return changedBytes > 0 && bytesPerMs > 0 ? [{ node, ms: changedBytes / bytesPerMs }] : [];
  });
  return expected.toSorted((a, b) => b.ms - a.ms)[0];
}
