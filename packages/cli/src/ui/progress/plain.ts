import type { OperationEvent } from '@stillpoint/controller';
import type { Clock } from '@stillpoint/shared/time';
import { formatDuration } from '@stillpoint/shared/time';
import { LOG_LEVELS, type LogLevel } from '../renderer.ts';
import type { Style } from '../style.ts';
import { blockersTable, tableLocksTable } from '../text/index.ts';
import { formatBytes, formatShare } from '../units.ts';
import type { Progress } from './progress.ts';

/** Time between two lines on the bytes of one node, ms: enough for a log that is read later. */
const PROGRESS_EVERY_MS = 30_000;

/** How serious an event is. */
export function levelOf(event: OperationEvent): LogLevel {
  if (event.type === 'retry' || event.type === 'warning') return 'warn';
  if (event.type === 'step' && event.state === 'failed') return 'error';
  return 'info';
}

/** True when an event of that level is shown under `limit`. */
export const shows = (limit: LogLevel, level: LogLevel): boolean => LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(limit);

/** An event as lines without a time; none for those that are not told in words. */
export function eventLines(event: OperationEvent, style: Style): readonly string[] {
  switch (event.type) {
    case 'operation':
      return [`${event.kind} ${event.operationId}${event.setId === undefined ? '' : `, set ${event.setId}`}`];
    case 'phase':
      return [`phase ${event.phase} started`];
    case 'phase-ended':
      return [`phase ${event.phase} ended (${formatDuration(event.ms)})`];
    case 'step':
      return [
        `${event.node} ${event.step} ${event.state}${event.ms === undefined ? '' : ` (${formatDuration(event.ms)})`}${event.message ? `: ${event.message}` : ''}`,
      ];
    case 'log':
      return [`${event.node} ${event.message}`];
    case 'warning':
      return [
        `${style.paint('yellow', 'warning:')} ${event.node === '' ? '' : `${event.node}: `}${event.message}`,
        ...(event.hint === '' ? [] : [`  hint: ${event.hint}`]),
      ];
    case 'retry':
      return [
        `${event.node} attempt ${event.attempt} of ${event.attempts}: ${event.message}; everything is released, again in ${formatDuration(event.waitMs)}`,
        ...blockersTable(event.blockers, style),
        ...tableLocksTable(event.tableLocks, style),
      ];
    case 'progress':
      return [
        `${event.node} ${event.step} ${formatBytes(event.bytesDone)}${event.bytesTotal > 0 ? ` of ${formatBytes(event.bytesTotal)} (${formatShare(event.bytesDone, event.bytesTotal)})` : ''}`,
      ];
  }
}

/** Lines with a time, one for each start and end of a phase, or of a step on a node: for logs and pipes. */
export function plainProgress(stream: NodeJS.WritableStream, level: LogLevel, style: Style, clock: Clock): Progress {
  const told = new Map<string, number>();
  const print = (lines: readonly string[]): void => {
    const time = clock.now().toISOString();
    for (const line of lines) stream.write(`${time} ${line}\n`);
  };
  const due = (event: OperationEvent): boolean => {
    if (event.type !== 'progress') return true;
    const now = clock.monotonicMs();
    const key = `${event.node} ${event.step}`;
    const last = told.get(key);
    if (last === undefined) told.set(key, now);
    if (last === undefined || now - last < PROGRESS_EVERY_MS) return false;
    told.set(key, now);
    return true;
  };
  return {
    event: (event) => {
      if (shows(level, levelOf(event)) && due(event)) print(eventLines(event, style));
    },
    print,
    close: () => undefined,
  };
}
