import { readdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfig } from '../../config/schema.ts';
import type { TaskContext } from '../../task/types.ts';
import { openEngine } from '../discovery/index.ts';
import { isWithin } from '../paths.ts';
import { clearSharedMemory, sharedSegments } from './shared-memory.ts';

/** Copies of the block resolution manager that a node has loaded from another; the primary's own safety copies have other names. */
const COPY = /^BRM_saves/;

/**
 * Sees to what a stopped engine keeps outside of its dbroots and would take for that of the data now in place: shared memory, and copies of
 * the block resolution manager. Repeatable. Throws ENGINE_SERVICE_FAILED, COLUMNSTORE_CONFIG or the signal's reason.
 */
export async function settleEngine(config: AgentConfig, { log, signal }: Pick<TaskContext, 'log' | 'signal'>): Promise<void> {
  const engine = await openEngine(config);
  if (engine === undefined) return;
  const segments = await sharedSegments();
  await clearSharedMemory(engine, signal);
  if (segments.length > 0) log(`cleared ${segments.length} segments of shared memory of the engine`);
  const { scratchDirectory, dbroots } = engine.topology;
  // In a directory that is everybody's, links may lead anywhere: not where the original is.
  const scratch = await realpath(scratchDirectory).catch(() => scratchDirectory);
  if ([...dbroots.values()].some((path) => isWithin(scratch, path))) return;
  for (const name of await readdir(scratchDirectory).catch(() => [])) {
    if (COPY.test(name)) await rm(join(scratchDirectory, name), { force: true });
  }
}
