import { getPriority } from 'node:os';
import { IoClass, type Priority } from '@stillpoint/shared/proto';
import { findProgram } from '../process/index.ts';

const isAsked = (priority: Priority | undefined): priority is Priority =>
  priority !== undefined && (priority.nice > 0 || priority.ioClass !== IoClass.UNSPECIFIED);

/** What was asked for; undefined when nothing was. */
export const askedFor = (priority: Priority | undefined): Priority | undefined => (isAsked(priority) ? priority : undefined);

/** Arguments of `ionice`; none when nothing was asked for. */
export function ioniceArguments({ ioClass, ioLevel }: Priority): readonly string[] {
  if (ioClass === IoClass.IDLE) return ['-c', '3'];
  return ioClass === IoClass.BEST_EFFORT ? ['-c', '2', '-n', String(ioLevel)] : [];
}

/** A launcher (see ProgramOptions) with which a program steps back from its beginning; empty when nothing was asked for, or no program for it is there. */
export async function backLauncher(priority: Priority | undefined): Promise<readonly string[]> {
  if (!isAsked(priority)) return [];
  const [nice, ionice] = await Promise.all([findProgram('nice'), findProgram('ionice')]);
  const io = ioniceArguments(priority);
  // What is said to it is added to the niceness of the agent.
  const more = priority.nice - getPriority();
  return [
    ...(nice === undefined || more <= 0 ? [] : [nice, '-n', String(more)]),
    ...(ionice === undefined || io.length === 0 ? [] : [ionice, ...io]),
  ];
}

/** What cannot be done of what was asked for, a sentence each. */
export async function unheeded(priority: Priority | undefined): Promise<string[]> {
  if (!isAsked(priority) || ioniceArguments(priority).length === 0 || (await findProgram('ionice')) !== undefined) return [];
  return ['backup.ionice is not heeded on this node: the program ionice of util-linux is not installed'];
}
