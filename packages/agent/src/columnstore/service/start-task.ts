import { durationMs } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Agent } from '../../agent.ts';
import type { TaskContext, TaskDefinition } from '../../task/types.ts';
import { resumeIfSuspended } from '../suspend/index.ts';
import type { Engine } from '../types.ts';
import { engineService } from './driver.ts';
import { requireEngine } from './engine.ts';
import { runningProcesses } from './processes.ts';
import { stagedProcesses } from './stages.ts';

const DEFAULT_TIMEOUT_MS = 120_000;
const POLL_MS = 100;
/** At least so long, however long the start took. */
const RESUME_MS = 30_000;

/**
 * Starts one stage of the engine's processes on this node, by the configured service, and waits until they run; running ones are fine. Whether they
 * answer, the proof of the engine tells.
 * Throws ENGINE_SERVICE_FAILED, COLUMNSTORE_CONFIG, or the signal's reason.
 */
export const startEngineTask: TaskDefinition<'startEngine'> = {
  run: async (agent, { stage, timeout }, task) => {
    const { clock } = agent;
    const engine = await requireEngine(agent.config);
    const config = agent.config.columnstore;
    const timeoutMs = timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(timeout);
    const deadline = clock.monotonicMs() + timeoutMs;
    const names = stagedProcesses(engine, config.service).flatMap((process) => (process.stage === stage ? [process.name] : []));
    const missing = async (): Promise<string[]> => {
      const running = await runningProcesses(names);
      return names.filter((name) => !running.some((process) => process.name === name));
    };
    const late = AbortSignal.timeout(timeoutMs);
    if ((await missing()).length > 0) {
      await engineService({ engine, config, clock })
        .start(stage, AbortSignal.any([task.signal, late]))
        .catch((error: unknown) => {
          task.signal.throwIfAborted();
          if (late.aborted) throw notStarted(`the service did not return within ${timeoutMs} ms`);
          throw error;
        });
    }
    for (let left = await missing(); left.length > 0; left = await missing()) {
      if (clock.monotonicMs() >= deadline) throw notStarted(`${left.join(', ')} did not run within ${timeoutMs} ms`);
      await clock.sleep(POLL_MS, task.signal);
    }
    await resumeIfLast(agent, engine, stage, task, Math.max(0, deadline - clock.monotonicMs()));
    return { result: { case: 'startEngine', value: { running: names } } };
  },
};

/** The image of a suspended system starts suspended, where that is a part of the data: before 5. */
async function resumeIfLast(agent: Agent, engine: Engine, stage: number, { log, signal }: TaskContext, timeoutMs: number): Promise<void> {
  const { clock, config } = agent;
  const last = Math.max(...stagedProcesses(engine, config.columnstore.service).map((process) => process.stage));
  if (stage !== last) return;
  const resumed = await resumeIfSuspended({ engine, config: config.columnstore, clock, signal, timeoutMs: Math.max(timeoutMs, RESUME_MS) });
  if (resumed) log('the engine came up suspended, as it was when the set was made; its writes were resumed');
}

const notStarted = (why: string): StillpointError => new StillpointError('ENGINE_SERVICE_FAILED', `The engine did not start: ${why}`);
