import type { CompletableOption, Words } from './tree.ts';

/** Fish completions: one line for each word, shown when the words before it name its command. */
export function fishScript(words: readonly Words[]): string {
  const program = words.find(({ path }) => path === '');
  const common = new Set(program?.options.map(({ flag }) => flag));
  const lines = words.flatMap((entry) => {
    const when = condition(entry);
    return [
      ...entry.commands.map(({ name, summary }) => `complete -c stillpoint -n ${quote(when)} -a ${name} -d ${quote(summary)}`),
      ...(entry.choices.length > 0 ? [`complete -c stillpoint -n ${quote(when)} -a ${quote(entry.choices.join(' '))}`] : []),
      ...entry.options.filter(({ flag }) => !common.has(flag)).map((option) => fishOption(option, `-n ${quote(when)} `)),
    ];
  });
  return `# fish completion for stillpoint
complete -c stillpoint -f
${[...(program?.options ?? []).map((option) => fishOption(option, '')), ...lines].join('\n')}
`;
}

/** True when the line names this command, and none below it yet. */
function condition({ path, commands }: Words): string {
  const seen = path.split(' ').filter((word) => word !== '');
  const has = seen.map((word) => `__fish_seen_subcommand_from ${word}`);
  const not = commands.length === 0 ? [] : [`not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`];
  return [...has, ...not].join('; and ');
}

function fishOption({ flag, short, summary, value, choices }: CompletableOption, when: string): string {
  const names = `-l ${flag.slice(2)}${short === undefined ? '' : ` -s ${short.slice(1)}`}`;
  const takes = { none: '', file: ' -r -F', choice: ` -x -a ${quote(choices.join(' '))}`, other: ' -x' }[value];
  return `complete -c stillpoint ${when}${names}${takes} -d ${quote(summary)}`;
}

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
