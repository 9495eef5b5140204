import { StillpointError } from '@stillpoint/shared/errors';
import type { Agent } from '../../agent.ts';
import type { TaskContext, TaskDefinition } from '../../task/types.ts';
import type { Engine } from '../types.ts';
import { engineService } from './driver.ts';
import { requireEngine } from './engine.ts';
import { ENGINE_PROGRAMS, listProcesses, type RunningProcess, runningProcesses } from './processes.ts';
import { saveStopped } from './save-stopped.ts';
import { clearSharedMemory, sharedSegments } from './shared-memory.ts';
import { stagedProcesses } from './stages.ts';

/** Commands return when a process has ended; where one node speaks for all, those of the others end when it comes to them. */
const GONE_WITHIN_MS = { commands: 30_000, systemd: 600_000, mcsadmin: 600_000 } as const;
const POLL_MS = 100;

/**
 * Stops one stage of the engine's processes on this node, by the configured service; stopped ones are fine. Verified by the processes being gone.
 * After the last stage the block resolution manager is saved, as far as it is still in shared memory, and that is cleared.
 * Throws ENGINE_SERVICE_FAILED, COLUMNSTORE_CONFIG, or the signal's reason.
 */
export const stopEngineTask: TaskDefinition<'stopEngine'> = {
  run: async (agent, { stage, last }, task) => {
    const engine = await requireEngine(agent.config);
    const config = agent.config.columnstore;
    const names = stagedProcesses(engine, config.service).flatMap((process) => (process.stage === stage ? [process.name] : []));
    const before = await runningProcesses(names);
    await engineService({ engine, config, clock: agent.clock }).stop(stage, task.signal);
    await untilGone(agent, names, task);
    // What ended a workernode before this stage has seen to its memory, or left it half changed: cmapi, say, or a kill.
    const isClean = before.some(({ name }) => name === 'workernode');
    if (last) await endEngine(engine, isClean, task);
    return { result: { case: 'stopEngine', value: { stopped: [...new Set(before.map(({ name }) => name))] } } };
  },
};

async function untilGone(agent: Agent, names: readonly string[], { signal }: TaskContext): Promise<void> {
  const deadline = agent.clock.monotonicMs() + GONE_WITHIN_MS[agent.config.columnstore.service.driver];
  for (;;) {
    const running = await runningProcesses(names);
    if (running.length === 0) return;
    if (agent.clock.monotonicMs() >= deadline) throw stillRunning(running);
    await agent.clock.sleep(POLL_MS, signal);
  }
}

const stillRunning = (running: readonly RunningProcess[]): StillpointError =>
  new StillpointError('ENGINE_SERVICE_FAILED', `The service says that it has stopped, but there run ${listProcesses(running)}`);

/** Nothing of the engine may be left: a bulk load, say, that nobody has told. */
async function endEngine(engine: Engine, isClean: boolean, { log, signal }: TaskContext): Promise<void> {
  const running = await runningProcesses(ENGINE_PROGRAMS);
  if (running.length > 0) throw stillRunning(running);
  // Of an engine that did not end in order, shared memory may be half changed and its locks taken for ever; without any, it would be made anew.
  if (engine.isPrimary && isClean && (await sharedSegments()).length > 0) {
    // What is on disk is complete without: a snapshot, and the journal of what came after it.
    await saveStopped(engine, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      log(`The block resolution manager was not saved once more: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
  await clearSharedMemory(engine, signal);
}
