import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.ts';

/** A program that waits before it starts to work. */
export interface Gate {
  /** Waits until a program stands at it. */
  reached(): Promise<void>;
  /** Lets it go on, and all that come later. */
  open(): void;
}

/** Programs of an agent that a test holds up, and where they really are on this machine. */
const ofThisMachine = (): Record<string, string> =>
  Object.fromEntries(['mariadb-backup', 'mbstream', 'zstd'].map((program) => [program, whereIs(program)]));

const whereIs = (program: string): string => execFileSync('/bin/sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();

/**
 * A directory of programs to put first into a PATH: each is the real one, which it becomes by exec, unless a gate is closed for it.
 * So a test can hold a phase open without a word about it in the product.
 */
export function makePrograms(directory: string, programs: Readonly<Record<string, string>> = ofThisMachine()): void {
  mkdirSync(directory, { recursive: true });
  // Some programs run as the owner of the data, and say at the gate that they are there.
  chmodSync(directory, 0o777);
  for (const [program, real] of Object.entries(programs))
    replaceProgram(directory, program, `${waitAt(join(directory, `${program}.gate`))}\nexec ${real} "$@"\n`);
}

/** Puts a program of one's own first. */
export function replaceProgram(directory: string, program: string, script: string): void {
  writeFileSync(join(directory, program), `#!/bin/sh\n${script}`);
  chmodSync(join(directory, program), 0o755);
}

/** Closes the gate for calls of a program whose arguments contain `argument`. */
export function closeGate(directory: string, program: string, argument: string): Gate {
  const file = join(directory, `${program}.gate`);
  rmSync(`${file}.reached`, { force: true });
  writeFileSync(file, argument);
  return {
    reached: async () => {
      await eventually(() => existsSync(`${file}.reached`));
    },
    open: () => rmSync(file, { force: true }),
  };
}

/** Opens all gates of a directory. */
export function openGates(directory: string): void {
  for (const file of readdirSync(directory)) if (file.endsWith('.gate')) rmSync(join(directory, file), { force: true });
}

const waitAt = (gate: string): string => `
if [ -e "${gate}" ]; then
  case " $* " in *"$(cat "${gate}" 2>/dev/null)"*)
    : >"${gate}.reached"
    while [ -e "${gate}" ]; do sleep 0.05; done ;;
  esac
fi`;
