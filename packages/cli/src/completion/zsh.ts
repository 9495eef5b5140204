import type { CompletableOption, Words } from './tree.ts';

/** A zsh completion function: one per command, called along the words of the line. */
export function zshScript(words: readonly Words[]): string {
  return `#compdef stillpoint
# zsh completion for stillpoint
${words.map(zshFunction).join('\n')}
if [ "$funcstack[1]" = "_stillpoint" ]; then _stillpoint "$@"; else compdef _stillpoint stillpoint; fi
`;
}

const functionName = (path: string): string => ['_stillpoint', ...path.split(' ').filter((word) => word !== '')].join('_');

function zshFunction({ path, commands, choices, options }: Words): string {
  const specs = options.map((option) => `    ${quote(zshOption(option))}`).join(' \\\n');
  if (commands.length === 0) {
    const argument = ` \\\n    ${quote(choices.length > 0 ? `1:word:(${choices.join(' ')})` : '*:argument: ')}`;
    return `${functionName(path)}() {\n  _arguments \\\n${specs}${argument}\n}`;
  }
  return `${functionName(path)}() {
  local line state
  _arguments -C \\
${specs} \\
    '1: :->command' \\
    '*:: :->arguments'
  case $state in
    command)
      local -a commands=(
${commands.map(({ name, summary }) => `        ${quote(`${name}:${summary.replaceAll(':', '\\:')}`)}`).join('\n')}
      )
      _describe command commands ;;
    arguments)
      case $line[1] in
${commands.map(({ name }) => `        ${name}) ${functionName(path === '' ? name : `${path} ${name}`)} ;;`).join('\n')}
      esac ;;
  esac
}`;
}

function zshOption({ flag, summary, value, choices }: CompletableOption): string {
  const about = `${flag}[${summary.replaceAll(/[[\]]/g, '\\$&').replaceAll(':', '\\:')}]`;
  if (value === 'none') return about;
  if (value === 'choice') return `${about}:value:(${choices.join(' ')})`;
  return value === 'file' ? `${about}:file:_files` : `${about}:value: `;
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
