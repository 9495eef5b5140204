import { systemClock } from '@stillpoint/shared/time';
import { type ClusterConfig, openController, type RunOptions } from '../../packages/controller/src/index.ts';

/** A controller of its own process: `run-operation.ts CONFIG OPERATION [ID]`, CONFIG and what it prints as JSON. */
const [config = '', operation = '', id = ''] = process.argv.slice(2);
const controller = openController({ config: JSON.parse(config) as ClusterConfig, clock: systemClock });
const run: RunOptions = { signal: new AbortController().signal, observe: () => {} };

const operations: Record<string, () => Promise<unknown>> = {
  backup: () => controller.createBackup({}, run),
  restore: () => controller.runRestore(id, { ...run, stopServers: true }),
};
await operations[operation]?.();
await controller.close();
