import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ClusterConfig } from '../../packages/controller/src/index.ts';

/** A controller that runs one operation in a process of its own, and can be killed. */
export interface ControllerProcess {
  readonly pid: number;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
}

export function controllerProcess(config: ClusterConfig, operation: 'backup' | 'restore', id = ''): ControllerProcess {
  const program = fileURLToPath(import.meta.resolve('./run-operation.ts'));
  const child = spawn(process.execPath, ['-C', 'source', program, JSON.stringify(config), operation, id], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exit = once(child, 'exit');
  const said: Buffer[] = [];
  child.stderr.on('data', (data: Buffer) => said.push(data));
  return {
    pid: child.pid ?? 0,
    kill: async () => {
      if (child.exitCode !== null) throw new Error(`the controller ended by itself: ${Buffer.concat(said).toString()}`);
      child.kill('SIGKILL');
      await exit;
    },
  };
}
