import type { CleanReport, PrunedSet, PruneReport } from '@stillpoint/controller';
import type { ResultOf } from '../result.ts';
import type { Style } from '../style.ts';
import { sections, table } from '../table.ts';
import { count, formatBytes, formatTime } from '../units.ts';

const COLOURS = { kept: 'green', removed: 'red', begun: 'yellow' } as const;

/** What retention did or would do: every set, whether it stays, and why. */
export function pruneText({ report }: ResultOf<'prune'>, style: Style): readonly string[] {
  const { dryRun, sets, silent } = report;
  if (sets.length === 0) return ['No sets: nothing to keep, nothing to remove.'];
  return sections([
    setTable(sets, dryRun, style),
    [...pruneSummary(report), ...(dryRun ? ['Nothing was touched. Days, weeks and months are those of UTC.'] : [])],
    problemLines(sets, style),
    silentLines(silent, style),
  ]);
}

/** What retention did, in a sentence or two. */
export function pruneSummary({ dryRun, sets }: Pick<PruneReport, 'dryRun' | 'sets'>): readonly string[] {
  const of = (outcome: PrunedSet['outcome']): readonly PrunedSet[] => sets.filter((set) => set.outcome === outcome);
  const bytes = sets.reduce((sum, set) => (set.outcome === 'kept' ? sum : sum + set.bytes), 0);
  const [removed, begun, kept] = [of('removed'), of('begun'), of('kept')];
  if (removed.length + begun.length === 0) return [`Retention keeps all ${count(kept.length, 'set')}.`];
  const done = dryRun ? 'would be removed' : 'removed';
  return [
    `${count(removed.length, 'set')} ${done}, ${count(kept.length, 'set')} kept; ${formatBytes(bytes)} ${dryRun ? 'would be freed' : 'freed'}.`,
    ...(begun.length === 0 ? [] : [`${count(begun.length, 'set')} not removed everywhere yet: the next run goes on with that.`]),
  ];
}

const setTable = (sets: readonly PrunedSet[], dryRun: boolean, style: Style): readonly string[] =>
  table(
    [
      { title: 'set' },
      { title: 'cut' },
      { title: 'state' },
      { title: '' },
      { title: 'stored', align: 'right' },
      { title: 'why', shrink: true },
    ],
    sets.map(({ setId, cutAt, state, outcome, bytes, reasons }) => [
      setId,
      formatTime(cutAt),
      state,
      style.paint(COLOURS[outcome], outcome === 'removed' && dryRun ? 'would go' : outcome === 'begun' ? 'begun' : outcome),
      bytes === 0 ? '' : formatBytes(bytes),
      reasons.join(', '),
    ]),
    style,
  );

const problemLines = (sets: readonly PrunedSet[], style: Style): readonly string[] =>
  sets.flatMap(({ setId, problems }) => problems.map((problem) => `${style.paint('yellow', 'not yet:')} ${setId}: ${problem}`));

const silentLines = (silent: PruneReport['silent'], style: Style): readonly string[] =>
  silent.map(({ node, error }) => `${style.paint('yellow', 'left out:')} ${node}: ${error.code}: ${error.message}`);

/** Whether a set is protected now, and where. */
export function protectionText({ report }: ResultOf<'protection'>, style: Style): readonly string[] {
  const { nodes, protect, setId, silent } = report;
  const where = `on ${nodes.join(', ')}`;
  const missed = silent.map(({ node }) => node).join(', ');
  const rest = protect
    ? 'It is not deleted all the same; the same command, once they are back, marks it there too.'
    : 'It stays protected until the same command reaches them.';
  return sections([
    [`Set ${style.paint('bold', setId)} is ${protect ? style.paint('green', 'protected') : 'no longer protected'} ${where}.`],
    silentLines(silent, style),
    silent.length === 0 ? [] : [`Not told: ${missed}. ${rest}`],
  ]);
}

/** What dead operations left behind, node by node. */
export function cleanText({ report }: ResultOf<'clean'>, style: Style): readonly string[] {
  const { deletions, dryRun, leftovers, lost, silent } = report;
  return sections([
    [headOf(report)],
    table(
      [{ title: 'node' }, { title: 'bytes', align: 'right' }, { title: 'changed' }, { title: '' }, { title: 'what', shrink: true }],
      leftovers.map(({ node, bytes, changedAt, path, removed, staysBecause }) => [
        node,
        formatBytes(bytes),
        formatTime(changedAt),
        removed ? style.paint('red', 'removed') : staysBecause === '' ? 'would go' : style.paint('yellow', 'stays'),
        path,
      ]),
      style,
    ),
    leftovers.map(({ node, path, reason, staysBecause }) => `  ${node}: ${path}: ${[reason, staysBecause].filter(Boolean).join('. ')}.`),
    deletions.length === 0 ? [] : ['Sets whose deletion was begun:', ...setTable(deletions, dryRun, style)],
    problemLines(deletions, style),
    lost.map(({ setId, reason }) => `${style.paint('yellow', 'incomplete:')} set ${setId}: ${reason}; what is left of it stays.`),
    silentLines(silent, style),
  ]);
}

function headOf({ deletions, dryRun, leftovers }: CleanReport): string {
  if (leftovers.length + deletions.length === 0) return 'Nothing was left behind that has not been changed for long enough (--older-than).';
  const gone = [...leftovers.filter(({ removed, staysBecause }) => removed || (dryRun && staysBecause === '')), ...deletions];
  const bytes = formatBytes(gone.reduce((sum, leftover) => sum + leftover.bytes, 0));
  return dryRun ? `${bytes} could be freed. Nothing was touched.` : `${bytes} freed.`;
}
