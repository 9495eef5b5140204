import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { exists, syncDirectory } from '../host/index.ts';
import type { Checkpoint } from './seams.ts';
import type { Move, RestoreState, Step } from './state.ts';

/**
 * Carries out the steps that are not done yet. Durable: a step is journaled as done when its renames are on disk, and
 * a rename that happened before a crash is recognised. Not interruptible: a switch is over in an instant.
 * Throws SWITCH_FAILED.
 */
export async function carryOut(
  state: RestoreState,
  save: (state: RestoreState) => Promise<void>,
  checkpoint: Checkpoint,
): Promise<RestoreState> {
  let current = state;
  for (const step of state.steps.slice(state.done)) {
    for (const move of step) {
      await carryOutMove(move);
      await checkpoint(`moved ${move.to}`);
    }
    for (const directory of new Set(step.flatMap(({ from, to }) => [dirname(from), dirname(to)]))) {
      if (await exists(directory)) await syncDirectory(directory);
    }
    current = { ...current, done: current.done + 1 };
    await save(current);
    await checkpoint(`step ${current.done} of ${state.steps.length}`);
  }
  return current;
}

async function carryOutMove({ from, to }: Move): Promise<void> {
  const [before, after] = await Promise.all([exists(from), exists(to)]);
  if (!before && after) return;
  if (!before) throw new StillpointError('SWITCH_FAILED', `Neither ${from} nor ${to} exists: something else has moved or removed it`);
  if (after) throw new StillpointError('SWITCH_FAILED', `${to} is in the way of ${from}`);
  try {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await rename(from, to);
  } catch (cause) {
    throw new StillpointError(
      'SWITCH_FAILED',
      `${from} could not be renamed to ${to}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

/** The way back from the steps carried out so far: the one that may be half done, then those before it, each reversed. */
export const wayBack = (steps: readonly Step[], done: number): Move[][] =>
  steps
    .slice(0, done + 1)
    .reverse()
    .map((step) => step.map(({ from, to }) => ({ from: to, to: from })));
