import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { stillpointArguments } from './cli.ts';
import { eventually } from './eventually.ts';
import { isAlive, killQuietly } from './processes.ts';

export interface AgentOptions {
  readonly configFile: string;
  readonly logFile: string;
  readonly address: string;
  readonly port: number;
  /** Directory to put first into its PATH. */
  readonly programs: string;
}

/** A real agent: `stillpoint agent run`, in a process group of its own. */
export interface AgentProcess {
  /** Process id while it runs. */
  readonly pid: number | undefined;
  /** What it logged so far. */
  log(): string;
  /** Starts it, when it does not run, and waits until it listens. */
  start(): Promise<void>;
  /** Sends a signal to the agent alone; for SIGKILL and SIGTERM waits until it has gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

export function agentProcess({ configFile, logFile, address, port, programs }: AgentOptions): AgentProcess {
  let pid: number | undefined;
  let child: ChildProcess | undefined;
  const alive = (): number | undefined => (pid !== undefined && isAlive(pid) ? pid : undefined);
  const log = (): string => readFileSync(logFile, 'utf8');
  return {
    get pid() {
      return alive();
    },
    log,
    start: async () => {
      if (alive() !== undefined) return;
      const output = openSync(logFile, 'a');
      child = spawn(process.execPath, stillpointArguments(['agent', 'run', '--config', configFile]), {
        stdio: ['ignore', output, output],
        detached: true,
        env: { ...process.env, PATH: `${programs}:${process.env.PATH}` },
      });
      closeSync(output);
      child.unref();
      pid = child.pid;
      await eventually(() => {
        if (alive() === undefined) throw new Error(`the agent did not start:\n${log()}`);
        return answers(address, port);
      });
    },
    kill: async (signal) => {
      const target = alive();
      if (target === undefined) return;
      killQuietly(target, signal);
      // A zombie's port stays open as long as one of its threads writes: until it was reaped, who asks there is answered by nobody.
      const reaped = (): boolean => child?.exitCode !== null || child.signalCode !== null;
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await eventually(reaped);
    },
  };
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false));
  });
}
