import { StillpointError, type TableLock } from '@stillpoint/shared/errors';
import { ProgramFailure } from '../../process/index.ts';
import type { Engine } from '../types.ts';
import { parseLockTable } from './lock-table.ts';
import { ask, engineProgram, lastLine } from './program.ts';

/** The table locks of the whole cluster. `unclear` is what could not be understood: not empty, and not to be taken for it. */
export interface TableLocks {
  readonly locks: readonly TableLock[];
  readonly unclear: string | undefined;
}

export interface LookOptions {
  readonly signal: AbortSignal;
  /** Now, on the wall clock of this node. */
  readonly now: Date;
  readonly timeoutMs: number;
}

/** True when nobody holds a lock, for certain. */
export const isFree = ({ locks, unclear }: TableLocks): boolean => locks.length === 0 && unclear === undefined;

/**
 * Asks controllernode for the table locks; any node can ask, and it needs PrimProc for the names of the tables. Throws ENGINE_NOT_READY
 * when controllernode cannot be reached, TOOL_MISSING, or the signal's reason.
 */
export async function tableLocks(engine: Engine, { signal, now, timeoutMs }: LookOptions): Promise<TableLocks> {
  try {
    const { stdout, stderr, exitCode } = await ask(engineProgram(engine, 'viewtablelock'), [], { signal, timeoutMs, as: engine.owner });
    if (exitCode === 2) throw new StillpointError('ENGINE_NOT_READY', `Table locks cannot be listed: ${lastLine(stderr)}`);
    const table = parseLockTable(stdout);
    if (exitCode === 0 && table.kind === 'empty') return { locks: [], unclear: undefined };
    if (exitCode === 0 && table.kind === 'locked') {
      return { locks: table.rows.map((row) => ({ ...row, ageMs: ageOf(row.created, now) })), unclear: undefined };
    }
    const said = [stdout, stderr].map((text) => text.trim()).filter((text) => text !== '');
    return { locks: [], unclear: `viewtablelock exited with ${exitCode} and said: ${shortened(said.join(' | ')) || 'nothing'}` };
  } catch (error) {
    if (error instanceof ProgramFailure) return { locks: [], unclear: error.message };
    throw error;
  }
}

/** When a lock was taken, in the words of ctime and the time zone of this node; undefined when it cannot be told. Pure. */
export function createdAt(created: string): Date | undefined {
  // ctime pads the day with a blank.
  const [, month, day, time, year] = created.split(/ +/);
  const at = new Date(`${month} ${day}, ${year} ${time}`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

const ageOf = (created: string, now: Date): number => Math.max(0, now.getTime() - (createdAt(created) ?? now).getTime());

const shortened = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)} ...` : text).replaceAll('\n', ' | ');
const LONGEST = 500;
