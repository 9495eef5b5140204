import { Argument, type Command } from 'commander';
import { completionScript, SHELLS, type Shell } from '../completion/index.ts';
import type { Perform, Session } from '../session.ts';
import { verb } from './verb.ts';

/** `stillpoint completion`: written from the commands themselves, so that it cannot be out of date. */
export function completionCommand(perform: Perform): Command {
  return verb('completion', 'Print the completion script of a shell', {
    examples: [
      { line: 'source <(stillpoint completion bash)', about: 'this bash' },
      { line: 'stillpoint completion bash > /usr/share/bash-completion/completions/stillpoint', about: 'every bash' },
      { line: 'stillpoint completion zsh > /usr/local/share/zsh/site-functions/_stillpoint', about: 'every zsh' },
      { line: 'stillpoint completion fish > ~/.config/fish/completions/stillpoint.fish', about: 'fish' },
    ],
    exits: [],
  })
    .addArgument(new Argument('<shell>', 'for which shell').choices(SHELLS))
    .action(
      perform(async ({ program }: Session, _options: object, shell: Shell) => {
        return { type: 'completion', shell, script: completionScript(shell, program) };
      }),
    );
}
