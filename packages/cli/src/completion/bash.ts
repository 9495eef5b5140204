import type { Words } from './tree.ts';

/**
 * A bash completion function. It walks the words before the cursor: a word that extends the path to a known command
 * does, everything else is an option, its value or an argument.
 */
export function bashScript(words: readonly Words[]): string {
  const known = words.map(({ path }) => path).filter((path) => path !== '');
  const values = new Map(
    words.flatMap(({ options }) => options.filter(({ value }) => value !== 'none').map((option) => [option.flag, option])),
  );
  return `# bash completion for stillpoint
_stillpoint() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path='' word
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
${known.map((path) => `      '${path}') path='${path}' ;;`).join('\n')}
    esac
  done
  case $prev in
${[...values.values()].map(({ flag, value, choices }) => `    ${flag}) ${bashValue(value, choices)}; return ;;`).join('\n')}
  esac
  case $path in
${words.map((entry) => `    '${entry.path}') COMPREPLY=($(compgen -W '${candidates(entry)}' -- "$cur")) ;;`).join('\n')}
  esac
}
complete -F _stillpoint stillpoint
`;
}

function bashValue(value: string, choices: readonly string[]): string {
  if (value === 'file') return 'COMPREPLY=($(compgen -f -- "$cur"))';
  return value === 'choice' ? `COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$cur"))` : 'COMPREPLY=()';
}

const candidates = ({ commands, choices, options }: Words): string =>
  [...commands.map(({ name }) => name), ...choices, ...options.map(({ flag }) => flag)].join(' ');
