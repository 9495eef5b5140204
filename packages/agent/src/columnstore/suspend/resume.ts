import { StillpointError } from '@stillpoint/shared/errors';
import { formatDuration } from '@stillpoint/shared/time';
import { BULK_LOADERS, describeStuckLock, isBulkLoad } from '../engine/lock-words.ts';
import { createdAt, tableLocks } from '../engine/table-locks.ts';
import { countdown, pauses, within } from './countdown.ts';
import type { ControlParts } from './parts.ts';
import type { Bound, Resumed, Way } from './types.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
const LOCKS_MS = 5_000;
const SECOND_MS = 1_000;

/** What is known of the engine when it is to be resumed. */
export interface Known {
  /** Whoever calls has just set the flag: that saves a question, for which writers would wait. */
  readonly isSurelyReadOnly?: boolean;
  /** A request to suspend it may be carried out yet. */
  readonly mayComeYet?: boolean;
}

/** See `EngineControl.resume`. */
export async function resume(parts: ControlParts, bound: Bound, known: Known = {}): Promise<Resumed> {
  const { clock } = parts;
  const beganMs = clock.monotonicMs();
  const beganAt = clock.now();
  const way = await makeWritable(parts, bound, known);
  const tookMs = clock.monotonicMs() - beganMs;
  return { tookMs, way, stuckLocks: await stuckLocks(parts, beganAt, bound.signal) };
}

/**
 * controllernode does `readonly` and `readwrite` one after the other, each in a thread that waits in line, also when whoever asked was ended
 * meanwhile. Its status waits for nobody. So while a `readonly` may be in line, a status of read-write says nothing; that `readwrite` was done does.
 */
async function makeWritable(
  { driver, clock }: ControlParts,
  bound: Bound,
  { isSurelyReadOnly = false, mayComeYet = false }: Known,
): Promise<Way | undefined> {
  const { signal, timeoutMs } = bound;
  const left = countdown(bound);
  const pause = pauses(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  if (!isSurelyReadOnly && !mayComeYet && (await driver.status(signal)).mode === 'read-write') return undefined;
  for (let tries = 1; ; tries += 1) {
    // Never all of the time on one try: another way may be open where the first is not.
    const limit = within(Math.max(left() / 2, SHORTEST_TRY_MS), signal);
    const tried = await driver.resume(limit).catch((error: unknown) => {
      if (signal.aborted) throw signal.reason;
      return error instanceof Error ? error.message : String(error);
    });
    const { mode, text } = await driver.status(signal);
    const isDone = typeof tried !== 'string';
    if (mode === 'read-write' && (isDone || !mayComeYet)) return isDone ? tried : { by: driver.name, detour: tried };
    if (left() === 0 && tries >= FEWEST_TRIES) throw notResumed(timeoutMs, isDone ? text : `${tried}; its status: ${text}`, mayComeYet);
    await clock.sleep(Math.min(pause(), left()), signal);
  }
}

/** Even a bound that is over is worth these: writers are worse off with an engine that stays read-only than with a wait. */
const SHORTEST_TRY_MS = 2_000;
const FEWEST_TRIES = 2;

function notResumed(timeoutMs: number, text: string, mayComeYet: boolean): StillpointError {
  const later = mayComeYet ? '. A request to suspend it may be carried out yet' : '';
  return new StillpointError('RESUME_FAILED', `The engine was not seen read-write within ${formatDuration(timeoutMs)}: ${text}${later}`);
}

/**
 * Table locks that are older than the resume: SQL writers wait still, so nobody works under them. Loads may begin the moment the engine is
 * read-write, and locks are dated to the second; one that still runs on this node is not stuck either.
 */
async function stuckLocks({ engine, clock, processes }: ControlParts, resumedAt: Date, signal: AbortSignal): Promise<readonly string[]> {
  const second = Math.floor(resumedAt.getTime() / SECOND_MS) * SECOND_MS;
  try {
    const [{ locks, unclear }, loaders] = await Promise.all([
      tableLocks(engine, { signal, now: clock.now(), timeoutMs: LOCKS_MS }),
      processes(BULK_LOADERS),
    ]);
    const stuck = locks.filter(({ created, process, pid }) => {
      const takenMs = createdAt(created)?.getTime() ?? 0;
      if (!isBulkLoad(process)) return takenMs <= second;
      return takenMs < second && !loaders.some((loader) => loader.pid === pid);
    });
    return unclear === undefined ? stuck.map(describeStuckLock) : [`Table locks after the resume are not known: ${unclear}`];
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return [`Table locks after the resume are not known: ${error instanceof Error ? error.message : String(error)}`];
  }
}
