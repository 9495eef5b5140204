import type { ClusterConfig, Controller, RunOptions } from '@stillpoint/controller';
import type { Clock } from '@stillpoint/shared/time';
import type { Command } from 'commander';
import type { LogLevel } from './ui/renderer.ts';
import type { Result } from './ui/result.ts';
import type { Output } from './ui/text-renderer.ts';

/** A controller and the configuration it was opened with. */
export interface OpenedController {
  readonly config: ClusterConfig;
  readonly controller: Controller;
}

/** What a command works with. */
export interface Session {
  /** `cluster.yaml`: from --config, STILLPOINT_CONFIG or the default place. */
  readonly configFile: string;
  /** `agent.yaml`: from --config, STILLPOINT_AGENT_CONFIG or the default place. */
  readonly agentConfigFile: string;
  /** How this command line is called again with the same configuration: `stillpoint`, perhaps with --config. */
  readonly command: string;
  /** The whole command line, as data. */
  readonly program: Command;
  readonly level: LogLevel;
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly stderr: Output;
  /** Signal and observer of the operation; the signal is aborted by SIGINT, SIGTERM and SIGHUP. */
  readonly run: RunOptions;
  /** Shows a result before the command has ended. */
  show(result: Result): void;
  /** Opens the controller, and closes it however `use` ends. */
  withController<T>(use: (opened: OpenedController) => Promise<T>): Promise<T>;
}

/** What a command does: its result is shown, what it throws too. Without a result everything was shown already. */
export type Handler<Options, Args extends readonly unknown[]> = (
  session: Session,
  options: Options,
  ...args: Args
) => Promise<Result | undefined>;

/** Makes an action for commander of a handler. */
export type Perform = <Options, Args extends readonly unknown[]>(
  handler: Handler<Options, Args>,
) => (...passed: unknown[]) => Promise<void>;
