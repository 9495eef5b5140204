import type { BackupPlan, BackupReport, RestorePlan } from '@stillpoint/controller';
import type { TableLock } from '@stillpoint/shared/errors';
import type { PartManifest, SetManifest } from '@stillpoint/shared/manifest';
import { formatDuration } from '@stillpoint/shared/time';
import { onOneLine } from '../foreign-text.ts';
import type { Style } from '../style.ts';
import { pairs, table } from '../table.ts';
import { count, formatBytes } from '../units.ts';

/** Table locks of ColumnStore in the way, as a table. */
export function tableLocksTable(locks: readonly TableLock[], style: Style): readonly string[] {
  return table(
    [
      { title: 'lock', align: 'right' },
      { title: 'table' },
      { title: 'process' },
      { title: 'pid', align: 'right' },
      { title: 'session' },
      { title: 'seconds', align: 'right' },
      { title: 'state' },
      { title: 'dbroots', shrink: true },
    ],
    locks.map(({ ageMs, dbroots, id, pid, process, session, state, table: name }) => [
      String(id),
      onOneLine(name) || '(unknown)',
      onOneLine(process),
      String(pid),
      onOneLine(session) || 'bulk load',
      (ageMs / 1000).toFixed(1),
      onOneLine(state),
      dbroots.join(', '),
    ]),
    style,
  );
}

/** Numbers of dbroots; empty for none. */
export const numbersText = (dbroots: readonly number[]): string => dbroots.join(', ');

/** What of the engine a backup would take, and what suspends it. */
export function plannedEngineLines({ columnstore, nodes }: BackupPlan, style: Style): readonly string[] {
  if (columnstore === undefined) return [];
  const { configRevision, driver, primary, version } = columnstore;
  return [
    `ColumnStore ${version || '(version unknown)'} is set read-only by ${driver} on ${primary}; ConfigRevision ${configRevision} must stay as it is.`,
    ...table(
      [{ title: 'dbroot', align: 'right' }, { title: 'node' }, { title: 'data', align: 'right' }, { title: 'path', shrink: true }],
      nodes
        .flatMap(({ dbroots, node }) => dbroots.map(({ bytes, number, path }) => ({ number, node, bytes, path })))
        .toSorted((a, b) => a.number - b.number)
        .map(({ bytes, node, number, path }) => [String(number), node, formatBytes(bytes), path]),
      style,
    ),
  ];
}

/** The engine of a set in one line; empty without one. */
export const setEngineText = ({ columnstore }: SetManifest): string =>
  columnstore === undefined
    ? ''
    : `${columnstore.version || '(version unknown)'}, ConfigRevision ${columnstore.configRevision}, primary ${columnstore.primary}`;

/** How the engine came back on each node, and above all where it did not. */
export function engineResumeLines({ engine }: BackupReport, style: Style): readonly string[] {
  const took = engine.flatMap(({ ms }) => (ms === undefined ? [] : [ms]));
  const inTime = took.length === 0 ? [] : [`ColumnStore was read-write again within ${formatDuration(Math.max(...took))}.`];
  return [
    ...(engine.some(({ failure }) => failure !== undefined) ? [] : inTime),
    ...engine.flatMap(({ failure, node, stuckLocks }) => [
      ...(failure === undefined
        ? []
        : [
            `${style.paint('red', `${failure.code} on ${node}`)}: ${failure.message}`,
            'Writes to ColumnStore may fail until that is seen to. The set is good: it was proven before.',
            `hint: ${failure.hint}`,
          ]),
      ...stuckLocks.map((lock) => `${style.paint('yellow', 'warning:')} ${node}: ${lock}`),
    ]),
  ];
}

/** The engine's share of a part. */
export function partEngineSections({ columnstore, shards }: PartManifest, style: Style): readonly (readonly string[])[] {
  if (columnstore === undefined) return [];
  const { brmCurrent, configFile, dbroots, module, primary, version } = columnstore;
  const stored = (names: readonly string[]): number =>
    shards.filter(({ name }) => names.includes(name)).reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  return [
    pairs(
      [
        ['columnstore', `${version || '(version unknown)'}, module pm${module}${primary ? ', the primary' : ''}, ${configFile}`],
        ['saved map', brmCurrent],
      ],
      style,
    ),
    table(
      [
        { title: 'dbroot', align: 'right' },
        { title: 'files', align: 'right' },
        { title: 'data', align: 'right' },
        { title: 'stored', align: 'right' },
        { title: 'path', shrink: true },
      ],
      dbroots.map(({ dataBytes, files, list, number, path, shards: names }) => [
        String(number),
        String(files),
        formatBytes(dataBytes),
        formatBytes(stored([...names, list])),
        path,
      ]),
      style,
    ),
  ];
}

/** Which image each dbroot gets, and where; none without an engine. */
export function plannedDbrootTable({ nodes }: RestorePlan, style: Style): readonly string[] {
  const rows = nodes.flatMap(({ dbroots, node }) => dbroots.map((dbroot) => ({ ...dbroot, node }))).toSorted((a, b) => a.number - b.number);
  return table(
    [
      { title: 'dbroot', align: 'right' },
      { title: 'image' },
      { title: 'onto' },
      { title: 'needs', align: 'right' },
      { title: 'free', align: 'right' },
      { title: 'kept aside', align: 'right' },
      { title: 'into', shrink: true },
    ],
    rows.map(({ freeBytes, from, needBytes, node, number, path, replacesBytes }) => [
      String(number),
      from === '' ? style.paint('yellow', 'becomes empty') : `part of ${from}`,
      from === node || from === '' ? node : style.paint('yellow', node),
      formatBytes(needBytes),
      space(freeBytes, needBytes, style),
      replacesBytes === 0 ? 'nothing' : formatBytes(replacesBytes),
      path,
    ]),
    style,
  );
}

/** Empty when nobody has looked. */
function space(free: number | undefined, need: number, style: Style): string {
  if (free === undefined) return '';
  return free < need ? style.paint('red', formatBytes(free)) : formatBytes(free);
}

/** The engine of the set and what is installed. */
export function engineFact({ columnstore, nodes }: RestorePlan): string {
  if (columnstore === undefined) return '';
  const installed = [...new Set(nodes.flatMap(({ engine }) => (engine === undefined ? [] : [engine.version || 'unknown'])))];
  return `of version ${columnstore.version || 'unknown'}, onto ${installed.join(', ')}; ${count(nodes.flatMap(({ dbroots }) => dbroots).length, 'dbroot')}`;
}
