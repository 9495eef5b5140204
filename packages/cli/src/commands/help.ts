import type { Command } from 'commander';
import { verb } from './verb.ts';

/** `stillpoint help`: commander's own knows the first word only, so `help restore run` would show all of `restore`. */
export const helpCommand = (): Command =>
  verb('help', 'Show help for a command', {
    examples: [
      { line: 'stillpoint help', about: 'all commands' },
      { line: 'stillpoint help restore run', about: 'one of them' },
    ],
    exits: [],
  })
    .argument('[command...]', 'words of the command')
    .action((words: readonly string[], _options: object, { parent }: Command) => {
      if (parent !== null) commandAt(parent, words).help();
    });

function commandAt(from: Command, [word, ...further]: readonly string[]): Command {
  if (word === undefined) return from;
  const next = from.commands.find((command) => command.name() === word);
  return next === undefined ? from.error(`error: unknown command '${word}'`) : commandAt(next, further);
}
