import type { ControllerLog } from '@stillpoint/controller';
import { EXIT, type ExitName, StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import type { Command, CommanderError } from 'commander';
import { versionResult } from './commands/version.ts';
import { controllerLog } from './controller-log.ts';
import { pathOf } from './help.ts';
import { createProgram, everyCommand, type GlobalOptions } from './program.ts';
import type { OpenedController, Perform, Session } from './session.ts';
import { jsonRenderer } from './ui/json.ts';
import type { Renderer } from './ui/renderer.ts';
import { exitOf, type Result } from './ui/result.ts';
import { type Output, textRenderer } from './ui/text-renderer.ts';

/** What a command line runs in. */
export interface Surroundings {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Aborted, with CANCELLED as reason, when the user wants the command to end. */
  readonly signal: AbortSignal;
  openController(configFile: string, log: ControllerLog, takeOver: boolean): Promise<OpenedController>;
}

/** A command line under way. */
export interface CommandLine {
  /** Exit code. Never rejects: whatever goes wrong has been shown. */
  readonly ended: Promise<number>;
  /** Tells the user of a cluster that a signal was understood; an agent has a log for that. */
  interrupted(signal: string): void;
  /** Shows an error that reached nobody, and gives the terminal back. Returns the exit code. */
  fail(error: unknown): number;
}

/** Runs one command line: arguments without the name of the program. */
export function runCommandLine(args: readonly string[], surroundings: Surroundings): CommandLine {
  const help: string[] = [];
  let renderer: Renderer | undefined;
  let exit: ExitName = 'OK';
  let drivesCluster = false;

  const screen = (): Renderer => {
    renderer ??= rendererOf({ ...program.opts<GlobalOptions>(), ...(asksForJson(args) ? { output: 'json' } : {}) }, surroundings);
    return renderer;
  };
  const show = (result: Result): void => screen().result(result);
  const watched: Surroundings = {
    ...surroundings,
    openController: (...how) => {
      drivesCluster = true;
      return surroundings.openController(...how);
    },
  };
  const perform: Perform =
    (handler) =>
    async (...passed) => {
      const [options, command] = passed.slice(-2) as [never, Command];
      const result = await handler(openSession(program, command, screen(), show, watched), options, ...(passed.slice(0, -2) as never));
      if (result === undefined) return;
      show(result);
      exit = exitOf(result);
    };
  const fail = (thrown: unknown): number => {
    const error = toStillpointError(thrown);
    const exitCode = EXIT[error.row.exit];
    screen().error(error, exitCode);
    screen().close();
    return exitCode;
  };

  const program = createProgram(perform);
  captureOutput(program, help, surroundings.stdout);
  const ended = program
    .parseAsync(args, { from: 'user' })
    .then(() => EXIT[exit])
    .catch((thrown: unknown) => {
      if (thrown instanceof WordWanted) {
        show(thrown.word === 'version' ? versionResult() : { type: 'help', text: help.join('') });
        return EXIT.OK;
      }
      if (help.length > 0 && !asksForJson(args)) surroundings.stderr.write(`${help.join('')}\n`);
      return fail(thrown);
    })
    .finally(() => screen().close());
  const interrupted = (signal: string): void => {
    if (drivesCluster) screen().notice(`${signal}: ending in order, so that nothing stays held. Once more ends at once.`);
  };
  return { ended, fail, interrupted };
}

/** Thrown in the place of commander's exit after a help page or the version. */
class WordWanted extends Error {
  readonly word: 'help' | 'version';
  constructor(code: string) {
    super();
    this.word = code === 'commander.version' ? 'version' : 'help';
  }
}

/** Keeps commander from writing and exiting by itself: what it has to say goes through the renderer. */
function captureOutput(program: Command, help: string[], stdout: Output): void {
  program.configureOutput({
    writeOut: (text) => help.push(text),
    writeErr: (text) => help.push(text),
    outputError: () => undefined,
    getOutHelpWidth: () => Math.min(stdout.columns ?? 100, 120),
    getErrHelpWidth: () => Math.min(stdout.columns ?? 100, 120),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  for (const command of everyCommand(program)) {
    if (command !== program) command.copyInheritedSettings(program);
    command.exitOverride((problem) => {
      throw problem.exitCode === 0 ? new WordWanted(problem.code) : usageError(problem, command);
    });
  }
}

/** Commander's complaint in our form. */
function usageError(problem: CommanderError, command: Command): StillpointError {
  const verbs = command.commands.map((one) => one.name()).join(', ');
  const message = problem.code === 'commander.help' ? `${pathOf(command)} wants one of: ${verbs}` : problem.message.replace(/^error: /, '');
  return new StillpointError('USAGE', message, { hint: `See \`${pathOf(command)} --help\`.` });
}

/** Said by the arguments themselves: they may be wrong before --output, and then nobody has parsed it. */
const asksForJson = (args: readonly string[]): boolean =>
  args.some((arg, at) => arg === '--output=json' || (arg === 'json' && args[at - 1] === '--output'));

function rendererOf({ output, logLevel, color }: GlobalOptions, { stdout, stderr, env, clock }: Surroundings): Renderer {
  if (output === 'json') return jsonRenderer(stdout, clock);
  return textRenderer({ stdout, stderr, env, clock, colour: color, level: logLevel });
}

function openSession(
  program: Command,
  command: Command,
  renderer: Renderer,
  show: (result: Result) => void,
  surroundings: Surroundings,
): Session {
  const { clock, env, signal, stderr } = surroundings;
  const { config, logLevel, takeOver = false } = command.optsWithGlobals<GlobalOptions>();
  const given = command.getOptionValueSourceWithGlobals('config') === 'cli';
  return {
    configFile: config,
    agentConfigFile: given ? config : env.STILLPOINT_AGENT_CONFIG || '/etc/stillpoint/agent.yaml',
    command: given ? `stillpoint --config ${quoted(config)}` : 'stillpoint',
    program,
    level: logLevel,
    clock,
    env,
    stderr,
    run: { signal, observe: (event) => renderer.event(event) },
    show,
    withController: async (use) => {
      const opened = await surroundings.openController(config, controllerLog(renderer, logLevel), takeOver);
      try {
        return await use(opened);
      } finally {
        await opened.controller.close();
      }
    },
  };
}

/** A word for a shell. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
