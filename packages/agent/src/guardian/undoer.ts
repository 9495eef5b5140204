import { toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import type { Logger } from 'pino';
import { openEngine } from '../columnstore/discovery/index.ts';
import { readSuspension, type Undone, undoSuspension } from '../columnstore/suspend/index.ts';
import type { AgentConfig } from '../config/schema.ts';

/** Undoes a suspension that is on record while nobody holds the engine, and does not give up. */
export interface Undoer {
  /**
   * Begins, unless it is at it or there is nothing on record; resolves when the first try has ended, or after a few seconds. Goes on until
   * it is done, or stopped. Never throws.
   */
  begin(): Promise<void>;
  /** Resolves when it is at nothing any more. */
  ended(): Promise<void>;
  /** Ends it: somebody is about to suspend the engine anew, or this process ends. Never throws. */
  stop(): Promise<void>;
}

export interface UndoerParts {
  readonly config: Pick<AgentConfig, 'columnstore' | 'stateDir'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Only what this operation suspended; default: whatever is on record. */
  readonly operationId?: string;
}

const TRY_MS = 20_000;
const AGAIN_MS = 5_000;
/** Whoever waits for the first try has other things to do. */
const FIRST_MS = 10_000;

/** One that has not begun. */
export function createUndoer(parts: UndoerParts): Undoer {
  const { clock } = parts;
  let current: { readonly over: AbortController; readonly ended: Promise<void> } | undefined;
  return {
    begin: async () => {
      const first = Promise.withResolvers<void>();
      if (current === undefined) {
        const over = new AbortController();
        const ended = undo(parts, over.signal, first.resolve).finally(() => {
          current = undefined;
        });
        current = { over, ended };
      }
      const waited = new AbortController();
      const late = clock.sleep(FIRST_MS, waited.signal).catch(() => undefined);
      await Promise.race([first.promise, current.ended, late]);
      waited.abort();
    },
    ended: async () => current?.ended,
    stop: async () => {
      current?.over.abort();
      await current?.ended;
    },
  };
}

/** Tries until it is done or over. Never throws. */
async function undo(parts: UndoerParts, signal: AbortSignal, tried: () => void): Promise<void> {
  const { clock, log } = parts;
  let told = '';
  while (!signal.aborted) {
    const problem = await tryOnce(parts, signal, tried);
    tried();
    if (problem === undefined || signal.aborted) return;
    if (problem !== told) log.error(`the suspension on record is not undone yet, and will be tried again: ${problem}`);
    told = problem;
    await clock.sleep(AGAIN_MS, signal).catch(() => undefined);
  }
}

/** What has gone wrong; undefined when there is nothing left to do. */
async function tryOnce(
  { config, clock, log, operationId }: UndoerParts,
  signal: AbortSignal,
  looked: () => void,
): Promise<string | undefined> {
  try {
    const record = await readSuspension(config.stateDir);
    if (record === undefined || (operationId !== undefined && record.operationId !== operationId)) return undefined;
    const engine = await openEngine(config);
    if (engine === undefined) return `${record.operationId} suspended an engine whose configuration is not found any more`;
    const { columnstore, stateDir } = config;
    const undone = await undoSuspension({ engine, config: columnstore, clock, stateDir, timeoutMs: TRY_MS, signal, looked });
    if (undone.kind === 'unknown') return undone.message;
    tell(log, undone);
    return undefined;
  } catch (error) {
    return toStillpointError(error).message;
  }
}

function tell(log: Logger, undone: Exclude<Undone, { kind: 'unknown' }>): void {
  if (undone.kind === 'none') return;
  const { operationId: operation } = undone;
  if (undone.kind === 'resumed') {
    const { stuckLocks } = undone.resumed;
    log.warn({ operation, stuckLocks }, 'the engine, suspended by an operation that is over, is read-write again');
  } else log[undone.kind === 'left' ? 'error' : 'info']({ operation }, undone.message);
}
