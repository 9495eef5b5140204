import { createProgram, everyCommand, notesOf, pathOf } from '@stillpoint/cli';
import { EXIT } from '@stillpoint/shared/errors';
import { code, GENERATED, markdownTable, page } from './markdown.ts';

type Program = ReturnType<typeof createProgram>;

/** cli.md: every command, from its own definition. */
export function cliPage(): string {
  const program = createProgram(() => async () => undefined);
  const commands = everyCommand(program).filter((command) => notesOf(command) !== undefined);
  return page([
    '# Commands',
    GENERATED,
    markdownTable(
      ['command', ''],
      commands.map((command) => [`[${pathOf(command)}](#${anchor(pathOf(command))})`, command.description()]),
    ),
    '## Options of every command',
    optionTable(program),
    'Commands of `agent` read `/etc/stillpoint/agent.yaml` unless `--config` or `STILLPOINT_AGENT_CONFIG` names another file.',
    ...commands.flatMap(commandBlocks),
  ]);
}

const anchor = (title: string): string => title.replaceAll(' ', '-');

function commandBlocks(command: Program): readonly string[] {
  const { examples, exits } = notesOf(command) ?? { examples: [], exits: [] };
  const words = command.registeredArguments.map((argument) => (argument.required ? `<${argument.name()}>` : `[${argument.name()}]`));
  return [
    `## ${pathOf(command)}`,
    `${command.description()}.`,
    code([pathOf(command), ...words, ...(command.options.length > 0 ? ['[options]'] : [])].join(' ')),
    markdownTable(
      ['argument', ''],
      command.registeredArguments.map((argument) => [code(argument.name()), withChoices(argument.description, argument.argChoices)]),
    ),
    optionTable(command),
    ['```sh', ...examples.flatMap(({ line, about }) => [`# ${about}`, line]), '```'].join('\n'),
    `Ends with ${exits
      .map((name) => EXIT[name])
      .toSorted((a, b) => a - b)
      .join(', ')}; see [exit codes](exit-codes.md).`,
  ];
}

function optionTable(command: Program): string {
  return markdownTable(
    ['option', '', 'default'],
    command.options.map((option) => [
      code(option.flags),
      withChoices(option.description, option.argChoices) + (option.envVar === undefined ? '' : `; environment: ${code(option.envVar)}`),
      // A switch is off unless it is given.
      typeof option.defaultValue === 'string' ? code(option.defaultValue) : '',
    ]),
  );
}

const withChoices = (text: string, choices: readonly string[] | undefined): string =>
  choices === undefined ? text : `${text}: ${choices.map(code).join(', ')}`;
