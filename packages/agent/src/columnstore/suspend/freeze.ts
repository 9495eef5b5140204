import { StillpointError } from '@stillpoint/shared/errors';
import { formatDuration } from '@stillpoint/shared/time';
import { BULK_LOADERS } from '../engine/lock-words.ts';
import type { EngineProcess } from '../engine/processes.ts';
import { isFree } from '../engine/table-locks.ts';
import type { EngineStatus } from '../types.ts';
import { countdown, pauses, within } from './countdown.ts';
import { drain, drainTimeout, isQuiet, look, type Sighting } from './drain.ts';
import type { ControlParts } from './parts.ts';
import { resume } from './resume.ts';
import { readStand } from './stand.ts';
import type { Bound, Stand, SuspendTerms } from './types.ts';

/** How long the engine may take to show a flag that was accepted. */
const CONFIRM_MS = 1_000;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 250;

/**
 * See `EngineControl.suspend`, on the primary. A load that takes its lock in the moment of the flag is hit by it and may fail, so the locks
 * are looked at directly before the flag and directly after it, and nothing that takes time comes between.
 */
export async function freezePrimary(parts: ControlParts, terms: SuspendTerms): Promise<Stand> {
  const left = countdown(terms);
  const drainAgain = async (seen: Sighting): Promise<void> => {
    if (left() === 0) throw drainTimeout(parts, seen, terms.timeoutMs);
    await drain(parts, { ...terms, timeoutMs: left() }, terms.timeoutMs);
  };
  for (;;) {
    const stand = await requireFreezable(parts, terms.signal);
    await terms.beforeFlag(stand);
    const begun = await look(parts, left(), terms.signal);
    if (!isQuiet(begun)) {
      await drainAgain(begun);
      continue;
    }
    await setFlag(parts, left(), terms);
    const slipped = await slippedIn(parts, left, terms, requireFrozen(parts, left(), terms));
    if (slipped === undefined) return await requireSameController(parts, stand);
    // Not to be left like this: a writer that meets a read-only engine fails, and its lock stays.
    await resume(parts, { ...terms, timeoutMs: left() }, { isSurelyReadOnly: true });
    await drainAgain(slipped);
  }
}

/** See `EngineControl.suspend`, on the other nodes: they can only see what the primary did, and look after loads of their own. */
export async function awaitFrozen(parts: ControlParts, terms: SuspendTerms): Promise<Stand> {
  const left = countdown(terms);
  const status = await awaitMode(parts, 'read-only', terms);
  if (status.mode !== 'read-only') {
    throw new StillpointError(
      'SUSPEND_FAILED',
      `The engine was not seen read-only within ${formatDuration(terms.timeoutMs)}: ${status.text}`,
    );
  }
  const slipped = await slippedIn(parts, left, terms, Promise.resolve());
  if (slipped !== undefined) throw drainTimeout(parts, slipped, terms.timeoutMs);
  return await readStand(parts.engine, parts.processes);
}

/**
 * Looks again and again, until the engine is in that mode or the bound is over; returns how it stands. Throws the signal's reason.
 */
async function awaitMode({ driver, clock }: ControlParts, mode: EngineStatus['mode'], bound: Bound): Promise<EngineStatus> {
  const left = countdown(bound);
  const pause = pauses(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  for (;;) {
    const status = await driver.status(bound.signal);
    if (status.mode === mode || left() === 0) return status;
    await clock.sleep(Math.min(pause(), left()), bound.signal);
  }
}

/** The engine must still be as it was opened, and nobody else may have suspended it meanwhile. */
async function requireFreezable({ engine, driver, processes }: ControlParts, signal: AbortSignal): Promise<Stand> {
  const [stand, status] = await Promise.all([readStand(engine, processes), driver.status(signal)]);
  if (status.mode === 'read-only') {
    throw new StillpointError('ENGINE_READ_ONLY', `The engine was suspended by somebody else meanwhile: ${status.text}`);
  }
  if (status.mode !== 'read-write') throw new StillpointError('ENGINE_NOT_READY', `The engine cannot be suspended: ${status.text}`);
  if (stand.configSha256 !== engine.configSha256) {
    throw new StillpointError('COLUMNSTORE_CONFIG', `${engine.configFile} was changed while the node was about to be held still`, {
      hint: 'Let the change of the cluster be completed, then try again.',
    });
  }
  return stand;
}

async function setFlag({ driver }: ControlParts, leftMs: number, { signal, timeoutMs }: SuspendTerms): Promise<void> {
  const limit = within(leftMs, signal);
  await driver.suspend(limit).catch((cause: unknown) => {
    if (signal.aborted || !limit.aborted) throw cause;
    throw new StillpointError('SUSPEND_FAILED', `${driver.name} did not suspend the engine within ${formatDuration(timeoutMs)}`, { cause });
  });
}

async function requireFrozen(parts: ControlParts, leftMs: number, { signal, clock }: SuspendTerms): Promise<void> {
  const { mode, text } = await awaitMode(parts, 'read-only', { timeoutMs: Math.min(CONFIRM_MS, leftMs), clock, signal });
  if (mode !== 'read-only') throw new StillpointError('SUSPEND_FAILED', `${parts.driver.name} accepted it, but the engine says: ${text}`);
}

/**
 * What had begun before the flag was set: a table lock, or a load that has passed its own test of the flag and may take a lock yet. A load
 * that begins from now on is refused by the engine, so only those seen at once are waited for: they end within moments, or take their lock.
 * Looks while it is still being confirmed that the flag is set, and throws what that throws.
 */
async function slippedIn(
  parts: ControlParts,
  left: () => number,
  { signal, clock }: Bound,
  confirmed: Promise<void>,
): Promise<Sighting | undefined> {
  const pause = pauses(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  // Awaited further down, but it may fail before that.
  confirmed.catch(() => undefined);
  const began = await parts.processes(BULK_LOADERS);
  for (;;) {
    const [now] = await Promise.all([look(parts, left(), signal), confirmed]);
    const seen = { ...now, loaders: now.loaders.filter((loader) => began.some((other) => isSame(loader, other))) };
    if (isQuiet(seen)) return undefined;
    if (!isFree(seen.tables) || left() === 0) return seen;
    await clock.sleep(Math.min(pause(), left()), signal);
  }
}

const isSame = (one: EngineProcess, other: EngineProcess): boolean => one.pid === other.pid && one.startedTicks === other.startedTicks;

async function requireSameController({ engine, processes }: ControlParts, before: Stand): Promise<Stand> {
  const stand = await readStand(engine, processes);
  if (stand.controllerPid === before.controllerPid && stand.controllerStarted === before.controllerStarted) return stand;
  throw new StillpointError('SUSPEND_FAILED', 'controllernode ended while the engine was being suspended, and the read-only flag with it');
}
