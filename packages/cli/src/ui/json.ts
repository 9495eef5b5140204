import type { OperationEvent } from '@stillpoint/controller';
import type { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { type JsonLine, resultLines } from './json-lines.ts';
import type { Renderer } from './renderer.ts';

/** Shortest time between two progress lines of one node and step, ms. */
const PROGRESS_EVERY_MS = 1000;

/** Integers beyond what a double holds become decimal strings, as in the JSON form of protobuf; fractions of a millisecond end at the third digit. */
function plainNumbers(_key: string, value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? value : Math.round(value * 1000) / 1000;
  if (typeof value !== 'bigint') return value;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(value) : String(value);
}

/** One JSON text per line. */
export const encodeLine = (line: JsonLine): string => `${JSON.stringify(line, plainNumbers)}\n`;

/** The line of an error. */
function errorLine(error: StillpointError, exitCode: number): JsonLine {
  const { code, message, hint, node, blockers, tableLocks } = error;
  return {
    type: 'error',
    code,
    exitCode,
    message,
    hint,
    node: node ?? null,
    blockers,
    tableLocks,
    ...(code === 'INTERNAL' ? { stack: error.stack ?? '' } : {}),
  };
}

/** JSON lines on stdout, each with a `type`; docs/reference/json.md describes them all. Nothing else is written. */
export function jsonRenderer(stdout: NodeJS.WritableStream, clock: Clock): Renderer {
  const write = (line: JsonLine): void => {
    stdout.write(encodeLine(line));
  };
  const due = progressDue(clock);
  return {
    event: (event) => {
      if (due(event)) write({ ...event, time: clock.now().toISOString() });
    },
    notice: (message) => write({ type: 'notice', message }),
    result: (result) => resultLines(result).forEach(write),
    error: (error, exitCode) => write(errorLine(error, exitCode)),
    close: () => undefined,
  };
}

/** Lets the first and the last progress of a step pass, and one a second between them; everything else passes. */
function progressDue(clock: Clock): (event: OperationEvent) => boolean {
  const last = new Map<string, number>();
  return (event) => {
    if (event.type !== 'progress') return true;
    const key = `${event.node} ${event.step}`;
    const now = clock.monotonicMs();
    const complete = event.bytesTotal > 0 && event.bytesDone >= event.bytesTotal;
    if (!complete && now - (last.get(key) ?? Number.NEGATIVE_INFINITY) < PROGRESS_EVERY_MS) return false;
    last.set(key, now);
    return true;
  };
}
