import type { EngineProcess, FindProcesses } from './processes.ts';

/** The process in whose memory the read-only flag is; undefined when it does not run on this node. Of several, the oldest. */
export async function findController(processes: FindProcesses): Promise<EngineProcess | undefined> {
  const found = await processes(['controllernode']);
  return found.toSorted((a, b) => Number(a.startedTicks - b.startedTicks))[0];
}
