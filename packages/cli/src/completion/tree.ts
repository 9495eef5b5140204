import type { Command } from 'commander';

/** What can be typed after a command: for completion scripts. */
export interface Words {
  /** Path from the program, without its own name: `backup create`; empty for the program itself. */
  readonly path: string;
  readonly summary: string;
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly CompletableOption[];
  /** Words that the first argument can be; empty when it can be anything. */
  readonly choices: readonly string[];
}

/** An option and what comes after it. */
export interface CompletableOption {
  readonly flag: string;
  readonly short: string | undefined;
  readonly summary: string;
  readonly value: 'none' | 'file' | 'choice' | 'other';
  readonly choices: readonly string[];
}

const FILE_PLACEHOLDERS = /<(file|path)>/;

/** Every command of a program, with the options of the program in each. */
export function wordsOf(program: Command): readonly Words[] {
  const common = optionsOf(program);
  const walk = (command: Command, path: readonly string[]): readonly Words[] => [
    {
      path: path.join(' '),
      summary: command.description(),
      commands: command.commands.map((sub) => ({ name: sub.name(), summary: sub.description() })),
      options: command === program ? common : [...optionsOf(command), ...common],
      choices: command.registeredArguments[0]?.argChoices ?? [],
    },
    ...command.commands.flatMap((sub) => walk(sub, [...path, sub.name()])),
  ];
  return walk(program, []);
}

function optionsOf(command: Command): readonly CompletableOption[] {
  const own = command.options.map((option) => ({
    flag: option.long ?? option.flags,
    short: option.short,
    summary: option.description,
    value: valueKind(option),
    choices: option.argChoices ?? [],
  }));
  return command.parent === null
    ? [...own, { flag: '--help', short: '-h', summary: 'help for a command', value: 'none', choices: [] }]
    : own;
}

function valueKind({
  flags,
  argChoices,
  required,
}: {
  flags: string;
  argChoices?: string[] | undefined;
  required: boolean;
}): CompletableOption['value'] {
  if (!required) return 'none';
  if (argChoices !== undefined) return 'choice';
  return FILE_PLACEHOLDERS.test(flags) ? 'file' : 'other';
}
