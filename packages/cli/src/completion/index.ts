import type { Command } from 'commander';
import { bashScript } from './bash.ts';
import { fishScript } from './fish.ts';
import { wordsOf } from './tree.ts';
import { zshScript } from './zsh.ts';

/** Shells that completion is written for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const satisfies Record<Shell, unknown>;

/** The completion script of a program for a shell. */
export const completionScript = (shell: Shell, program: Command): string => SCRIPTS[shell](wordsOf(program));
