import type { BlockingSession, StillpointError } from '@stillpoint/shared/errors';
import { VERSION } from '@stillpoint/shared/version';
import { onOneLine } from '../foreign-text.ts';
import type { Style } from '../style.ts';
import { table } from '../table.ts';
import { tableLocksTable } from './columnstore.ts';

/** Sessions in the way of a lock, as a table. */
export function blockersTable(blockers: readonly BlockingSession[], style: Style): readonly string[] {
  return table(
    [
      { title: 'id', align: 'right' },
      { title: 'user@host' },
      { title: 'seconds', align: 'right' },
      { title: 'lock' },
      { title: 'statement', shrink: true },
    ],
    blockers.map((blocker) => [
      String(blocker.connectionId),
      `${blocker.user}@${blocker.host}`,
      (blocker.ageMs / 1000).toFixed(1),
      blocker.lockMode,
      blocker.statement === '' ? `(${blocker.command || 'idle'})` : onOneLine(blocker.statement),
    ]),
    style,
  );
}

/** What went wrong, where, who was in the way, and what to do; for a bug, what a report needs. */
export function errorText(error: StillpointError, debug: boolean, style: Style): readonly string[] {
  const where = error.node === undefined ? '' : ` on ${error.node}`;
  return [
    `${style.paint('red', `error ${error.code}`)}${where}: ${error.message}`,
    ...blockersTable(error.blockers, style),
    ...tableLocksTable(error.tableLocks, style),
    ...(error.hint === '' ? [] : [`hint: ${error.hint}`]),
    ...(error.code === 'INTERNAL' ? ['', 'This is a bug in Stillpoint. Please report it together with these lines:', versions()] : []),
    ...(error.code === 'INTERNAL' || debug ? traceLines(error) : []),
  ];
}

const versions = (): string => `stillpoint ${VERSION}, node ${process.versions.node}, ${process.platform} ${process.arch}`;

function traceLines(error: Error): readonly string[] {
  const own = (error.stack ?? String(error)).split('\n');
  return error.cause instanceof Error ? [...own, 'caused by', ...traceLines(error.cause)] : own;
}
