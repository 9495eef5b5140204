import { readdir } from 'node:fs/promises';
import { getPriority, setPriority } from 'node:os';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Priority } from '@stillpoint/shared/proto';
import { findProgram, runProgram, startProgram } from '../process/index.ts';
import { ownIoArguments } from './io.ts';
import { askedFor } from './words.ts';

/** How far programs step back that must have come back before writers wait for them. */
export interface StepBack {
  /** Undefined when they stay as the agent is. */
  readonly priority: Priority | undefined;
  /** What of that which was asked for cannot be, a sentence each. */
  readonly unheeded: readonly string[];
}

/** What can be done of what was asked for, for programs that `comeBack` is called for. */
export async function untilWritersWait(priority: Priority | undefined): Promise<StepBack> {
  const asked = askedFor(priority);
  if (asked === undefined || asked.nice <= getPriority() || (await mayComeBack())) return { priority: asked, unheeded: [] };
  const unheeded =
    'backup.nice is not heeded for mariadb-backup and its zstd on this node: the agent may not give them their priority back before writers wait for them; only root may, with CAP_SYS_NICE';
  return { priority: askedFor({ ...asked, nice: 0 }), unheeded: [unheeded] };
}

/** The one from which nothing steps back any further. */
const LAST_NICE = 19;

/**
 * Whether programs of this process that have stepped back can be given its own priority again. Tried on one that does nothing: root may not in some containers and under
 * a unit without CAP_SYS_NICE, and others may where RLIMIT_NICE lets them. Never throws.
 */
export async function mayComeBack(): Promise<boolean> {
  const own = getPriority();
  if (own >= LAST_NICE) return true;
  const waiting = startProgram('cat', [], { stdin: 'pipe' });
  try {
    if (waiting.pid === undefined) return false;
    setPriority(waiting.pid, own + 1);
    setPriority(waiting.pid, own);
    return true;
  } catch {
    return false;
  } finally {
    waiting.stdin?.end();
    await waiting.done.catch(() => undefined);
  }
}

/**
 * Gives all threads of programs the priority of this process, for processors and disks. To a program that has ended nothing happens. Throws CAPTURE_FAILED when that
 * is not allowed.
 */
export async function comeBack(pids: readonly number[]): Promise<void> {
  const own = getPriority();
  const [ionice, io] = [await findProgram('ionice'), await ownIoArguments()];
  const done = new Set<number>();
  for (let look = 0; look < LOOKS; look += 1) {
    const found = await threadsOf(pids, done);
    if (found.length === 0) return;
    for (const thread of found) {
      comeTo(thread, own);
      done.add(thread);
    }
    // Nobody needs a right for that; threads that have ended are passed over.
    if (ionice !== undefined) await runProgram(ionice, ['-t', ...io, '-p', ...found.map(String)]).catch(() => undefined);
  }
}

/**
 * A thread has the priority of the one that began it, so only one that is begun by a thread between its being found and its being given another stays behind until the next
 * look. More would not end with a program that begins threads all the time.
 */
const LOOKS = 8;

async function threadsOf(pids: readonly number[], except: ReadonlySet<number>): Promise<number[]> {
  const names = await Promise.all(pids.map((pid) => readdir(`/proc/${pid}/task`).catch(() => [])));
  const threads = names.flat().map(Number);
  return threads.filter((thread) => !except.has(thread));
}

function comeTo(thread: number, nice: number): void {
  try {
    setPriority(thread, nice);
  } catch (cause) {
    // Node has the code of the system one level deeper than for files.
    if ((cause as { readonly info?: { readonly code?: string } }).info?.code === 'ESRCH') return;
    throw new StillpointError(
      'CAPTURE_FAILED',
      `mariadb-backup cannot be given its priority back before writers wait for it: ${String(cause)}`,
      {
        hint: 'Let the agent run with CAP_SYS_NICE, or set backup.nice to 0.',
        cause,
      },
    );
  }
}
