import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { stillpointArguments } from '../../harness/cli.ts';
import { eventually } from '../../harness/eventually.ts';
import type { NodeContainer } from './node-container.ts';

/** A real agent inside a node: `stillpoint agent run`, in a session of its own, from the sources and with the Node of the checkout. */
export interface EngineAgent {
  /** What it logged so far. */
  log(): string;
  /** Process id inside the node while it runs. */
  pid(): Promise<number | undefined>;
  /** Starts it, when it does not run, and waits until it listens. */
  start(): Promise<void>;
  /** Sends a signal to the agent alone, not to what it started; for SIGKILL and SIGTERM waits until it has gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

const NODE = join(import.meta.dirname, '../../../node_modules/node/bin/node');

/** The agent of a node, not started yet. `programs` is a directory to put first into its PATH. */
export function engineAgent(node: NodeContainer, port: number, configFile: string, programs: string): EngineAgent {
  const logFile = join(node.directory, 'agent.log');
  const pidFile = join(node.directory, 'agent.pid');
  const command = [NODE, ...stillpointArguments(['agent', 'run', '--config', configFile])].join(' ');
  const log = (): string => readFileSync(logFile, 'utf8');
  const pid = async (): Promise<number | undefined> => {
    // A zombie has no arguments any more.
    const { stdout } = await node.run(`pid=$(cat ${pidFile}) && grep -q agent /proc/$pid/cmdline && echo $pid`);
    return stdout === '' ? undefined : Number(stdout);
  };
  return {
    ...{ log, pid },
    start: async () => {
      if ((await pid()) !== undefined) return;
      await node.sh(`PATH=${programs}:$PATH NO_COLOR=1 setsid ${command} </dev/null >>${logFile} 2>&1 & echo $! >${pidFile}`);
      await eventually(async () => {
        if (await answers(node.address, port)) return true;
        if ((await pid()) === undefined) throw new Error(`the agent of ${node.name} did not start:\n${log()}`);
        return false;
      });
    },
    kill: async (signal) => {
      const target = await pid();
      if (target === undefined) return;
      await node.sh(`kill -${signal.replace('SIG', '')} ${target}`);
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await eventually(async () => (await pid()) === undefined);
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
