import { EXIT, EXIT_MEANING, type ExitName } from '@stillpoint/shared/errors';
import type { Command } from 'commander';
import { notesOf } from './commands/verb.ts';

/** What follows the options on a help page: examples and exit status; for a group, where to look further. */
export function afterHelp(command: Command): string {
  const notes = notesOf(command);
  if (notes === undefined) return `\nHelp for one of them: ${pathOf(command)} COMMAND --help`;
  return ['', 'Examples:', ...examples(notes.examples), '', 'EXIT STATUS', ...exitLines(notes.exits)].join('\n');
}

/** How a command is typed, from the program on. */
export const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;

function examples(lines: readonly { readonly line: string; readonly about: string }[]): string[] {
  return lines.flatMap(({ line, about }) => [`  # ${about}`, `  ${line}`]);
}

/** Exit codes with their meaning, in order. */
function exitLines(names: readonly ExitName[]): string[] {
  return [...names].sort((a, b) => EXIT[a] - EXIT[b]).map((name) => `  ${String(EXIT[name]).padStart(3)}  ${EXIT_MEANING[name]}`);
}
