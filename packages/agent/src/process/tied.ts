import { findProgram } from './find.ts';
import { runProgram } from './program.ts';

/** Runs first of all in a process that is tied, and then makes way for the program. */
export const TYING_PROGRAM = 'setpriv';

let tied: Promise<readonly string[]> | undefined;

/**
 * A launcher (see ProgramOptions) with which the kernel kills the program at the moment this process is gone, by SIGKILL too. For a program that keeps others
 * waiting while it waits itself: a broken pipe ends it only when it writes next. Empty where setpriv of util-linux is missing or older than 2.33.
 */
export function tiedToAgent(): Promise<readonly string[]> {
  tied ??= launcher();
  return tied;
}

async function launcher(): Promise<readonly string[]> {
  const setpriv = await findProgram(TYING_PROGRAM);
  if (setpriv === undefined) return [];
  const words = [setpriv, '--pdeathsig', 'KILL', '--'];
  return runProgram(setpriv, [...words.slice(1), 'true']).then(
    () => words,
    () => [],
  );
}
