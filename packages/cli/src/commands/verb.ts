import type { ExitName } from '@stillpoint/shared/errors';
import { Command } from 'commander';

/** An example of a command: what is typed, and what it is good for. */
export interface Example {
  readonly line: string;
  readonly about: string;
}

/** What a command page says beyond its arguments and options. */
export interface Notes {
  readonly examples: readonly Example[];
  /** Exit codes that this command can end with, besides those that any command can. */
  readonly exits: readonly ExitName[];
}

/** Any command can end so. */
const COMMON_EXITS: readonly ExitName[] = ['OK', 'INTERNAL', 'USAGE', 'INTERRUPTED'];

/** What every command that talks to agents can end with. */
export const CLUSTER_EXITS: readonly ExitName[] = ['CONFIG', 'UNREACHABLE', 'SECURITY'];

const notes = new WeakMap<Command, Notes>();

/** A command that does something: its examples and exit codes go to its help page and into the reference. */
export function verb(name: string, summary: string, { examples, exits }: Notes): Command {
  const command = new Command(name).description(summary);
  notes.set(command, { examples, exits: [...new Set([...COMMON_EXITS, ...exits])] });
  return command;
}

/** A group of commands around one thing. */
export const noun = (name: string, summary: string, verbs: readonly Command[]): Command =>
  verbs.reduce((command, one) => command.addCommand(one), new Command(name).description(summary));

/** Examples and exit codes of a command; undefined for a group. */
export const notesOf = (command: Command): Notes | undefined => notes.get(command);
