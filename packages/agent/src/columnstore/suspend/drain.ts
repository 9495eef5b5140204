import { StillpointError, type TableLock } from '@stillpoint/shared/errors';
import { formatDuration } from '@stillpoint/shared/time';
import { BULK_LOADERS, describeLoader, describeLock, isBulkLoad } from '../engine/lock-words.ts';
import type { EngineProcess } from '../engine/processes.ts';
import { isFree, type TableLocks, tableLocks } from '../engine/table-locks.ts';
import { countdown, pauses } from './countdown.ts';
import type { ControlParts } from './parts.ts';
import type { Bound } from './types.ts';

/** Who writes: the locks of the cluster, asked on its primary only, and the bulk loads of this node. */
export interface Sighting {
  readonly tables: TableLocks;
  readonly loaders: readonly EngineProcess[];
}

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 250;
/** viewtablelock asks the system catalog for every name, on an engine that is busy. */
const LOOK_MS = 10_000;
const SHORTEST_LOOK_MS = 1_000;

/** See `EngineControl.drain`. `boundMs` is what a timeout tells of, where the drain is a part of something longer. */
export async function drain(
  parts: ControlParts,
  terms: Bound & { readonly refuseCpimport: boolean },
  boundMs = terms.timeoutMs,
): Promise<void> {
  const left = countdown(terms);
  const pause = pauses(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
  let known: Sighting | undefined;
  for (;;) {
    const seen = await look(parts, left(), terms.signal);
    if (isQuiet(seen)) return;
    // The last look has the least time of all; who was in the way a moment before is worth more than that it took too long.
    if (seen.tables.unclear === undefined || known === undefined) known = seen;
    if (terms.refuseCpimport && (seen.loaders.length > 0 || seen.tables.locks.some(({ process }) => isBulkLoad(process)))) {
      throw new StillpointError('CPIMPORT_RUNNING', `A bulk load runs: ${whoWrites(parts, seen)}`, { tableLocks: seen.tables.locks });
    }
    if (left() === 0) throw drainTimeout(parts, known, boundMs);
    await parts.clock.sleep(Math.min(pause(), left()), terms.signal);
  }
}

/** Looks once at who writes. Throws ENGINE_NOT_READY when controllernode cannot be asked. */
export async function look({ engine, processes, clock }: ControlParts, leftMs: number, signal: AbortSignal): Promise<Sighting> {
  const timeoutMs = Math.min(LOOK_MS, Math.max(SHORTEST_LOOK_MS, leftMs));
  const [loaders, tables] = await Promise.all([
    processes(BULK_LOADERS),
    engine.isPrimary ? tableLocks(engine, { signal, now: clock.now(), timeoutMs }) : { locks: [], unclear: undefined },
  ]);
  return { loaders, tables };
}

/** True when nobody writes, for certain. */
export const isQuiet = ({ tables, loaders }: Sighting): boolean => loaders.length === 0 && isFree(tables);

/** DRAIN_TIMEOUT, with everybody who is in the way. */
export const drainTimeout = (parts: ControlParts, seen: Sighting, timeoutMs: number): StillpointError =>
  new StillpointError('DRAIN_TIMEOUT', `Writes did not end within ${formatDuration(timeoutMs)}: ${whoWrites(parts, seen)}`, {
    tableLocks: seen.tables.locks,
  });

function whoWrites({ engine }: ControlParts, { tables, loaders }: Sighting): string {
  const isOnlyNode = engine.topology.modules.length <= 1;
  const isDead = ({ process, pid }: TableLock): boolean =>
    isOnlyNode && isBulkLoad(process) && !loaders.some((loader) => loader.pid === pid);
  const locks = tables.locks.map((lock) => `${describeLock(lock)}${isDead(lock) ? ', a process that is no more' : ''}`);
  return [...locks, ...(tables.unclear === undefined ? [] : [tables.unclear]), ...loaders.map(describeLoader)].join('; ');
}
