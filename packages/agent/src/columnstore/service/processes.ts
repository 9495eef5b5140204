import { StillpointError } from '@stillpoint/shared/errors';
import type { AgentConfig } from '../../config/schema.ts';
import { processesNamed } from '../../host/index.ts';
import { cmapiProcesses } from './cmapi-process.ts';

/** Name under which cmapi is among the processes of a node; its program is Python. */
export const CMAPI = 'cmapi';

/** Everything of the engine that may run on a node, of any release. Whatever of it lives could use its data. */
export const ENGINE_PROGRAMS: readonly string[] = [
  ...['workernode', 'controllernode', 'PrimProc', 'WriteEngineServer', 'ExeMgr', 'DMLProc', 'DDLProc', 'StorageManager'],
  ...['cpimport', 'cpimport.bin'],
  // Of releases before 5: these start the others.
  ...['ProcMon', 'ProcMgr', 'ServerMonitor', 'DecomSvr'],
];

/** A process of the engine on this node. */
export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
}

/** Those of these processes that run on this node, in the order of the names. No zombies. */
export async function runningProcesses(names: readonly string[]): Promise<RunningProcess[]> {
  const found: RunningProcess[] = (await processesNamed(names.filter((name) => name !== CMAPI))).map(({ name, pid }) => ({ name, pid }));
  if (names.includes(CMAPI)) for (const pid of await cmapiProcesses()) found.push({ name: CMAPI, pid });
  return found.toSorted((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
}

/** For a message. */
export const listProcesses = (processes: readonly RunningProcess[]): string =>
  processes.map(({ name, pid }) => `${name} (process ${pid})`).join(', ');

/**
 * Throws ENGINE_RUNNING when anything of the engine runs on this node, or cmapi, which could start it at any moment.
 */
export async function refuseRunningEngine({ node }: Pick<AgentConfig, 'node'>): Promise<void> {
  const running = await runningProcesses([...ENGINE_PROGRAMS, CMAPI]);
  if (running.length === 0) return;
  throw new StillpointError('ENGINE_RUNNING', `On ${node} there run ${listProcesses(running)}`);
}
