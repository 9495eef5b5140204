import { VERSION } from '@stillpoint/shared/version';
import { Command, Option } from 'commander';
import { agentCommand } from './commands/agent.ts';
import { backupCommand } from './commands/backup.ts';
import { clusterCommand } from './commands/cluster.ts';
import { completionCommand } from './commands/completion.ts';
import { configCommand } from './commands/config.ts';
import { helpCommand } from './commands/help.ts';
import { pkiCommand } from './commands/pki.ts';
import { repositoryCommand } from './commands/repository.ts';
import { restoreCommand } from './commands/restore.ts';
import { versionCommand } from './commands/version.ts';
import { afterHelp } from './help.ts';
import type { Perform } from './session.ts';
import { LOG_LEVELS, type LogLevel } from './ui/renderer.ts';

/** Options of every command. */
export interface GlobalOptions {
  readonly config: string;
  readonly output: 'text' | 'json';
  readonly logLevel: LogLevel;
  readonly color: boolean;
  readonly takeOver?: true;
}

/** The whole command line. Help, completion and the reference are made from it too. */
export function createProgram(perform: Perform): Command {
  const program = new Command('stillpoint')
    .description('Backs up and restores a MariaDB cluster as one thing.')
    .addOption(new Option('--config <file>', 'configuration').env('STILLPOINT_CONFIG').default('/etc/stillpoint/cluster.yaml'))
    .addOption(new Option('--output <format>', 'text for people, JSON lines for programs').choices(['text', 'json']).default('text'))
    .addOption(new Option('--log-level <level>', 'how much is said meanwhile').choices(LOG_LEVELS).default('info'))
    .option('--no-color', 'no colours; NO_COLOR does the same')
    .option('--take-over', 'a controller on another host or in a container is dead for certain')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'help for a command')
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false);
  for (const command of [
    clusterCommand,
    backupCommand,
    restoreCommand,
    repositoryCommand,
    agentCommand,
    pkiCommand,
    configCommand,
    completionCommand,
    versionCommand,
    helpCommand,
  ]) {
    program.addCommand(command(perform));
  }
  for (const command of everyCommand(program)) command.addHelpText('after', afterHelp(command));
  return program;
}

/** A command and all below it. */
export const everyCommand = (command: Command): readonly Command[] => [command, ...command.commands.flatMap(everyCommand)];
