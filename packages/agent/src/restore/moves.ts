import { mkdir, readdir, rename } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { exists, syncDirectory } from '../host/index.ts';
import { atRest, inMotion } from './places.ts';
import type { Checkpoint } from './seams.ts';
import type { Move, RestoreState, Step } from './state.ts';

/** What moves are recorded and told with. */
export interface Surroundings {
  readonly save: (state: RestoreState) => Promise<void>;
  readonly checkpoint: Checkpoint;
  /** One sentence for the operation's log. */
  readonly tell: (message: string) => void;
}

/**
 * Carries out the steps that are not done yet, while no server runs. Durable: a step is journaled as done when its renames are
 * on disk, and a rename that happened before a crash is recognised. What appeared since in the place of live data, made by a
 * server that was started in between, is put aside. Not interruptible: a switch is over in an instant.
 * Throws SWITCH_FAILED.
 */
export async function carryOut(state: RestoreState, around: Surroundings): Promise<RestoreState> {
  const { save, checkpoint } = around;
  let current = state;
  for (const step of state.steps.slice(state.done)) {
    for (const move of step) {
      current = await clearTheWay(current, move, around);
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
  await move(from, to);
}

async function move(from: string, to: string): Promise<void> {
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

/** Of a move of which both ends exist, puts the live one aside: what lies in a directory of ours was moved there, or not yet from there. */
async function clearTheWay(state: RestoreState, { from, to }: Move, around: Surroundings): Promise<RestoreState> {
  if (isOurs(from) === isOurs(to) || !(await exists(from)) || !(await exists(to))) return state;
  return putAside(state, isOurs(from) ? to : from, around);
}

/** Moves something away that was made while a switch was half done. Recorded and told. Throws SWITCH_FAILED. */
export async function putAside(state: RestoreState, obstacle: string, { save, checkpoint, tell }: Surroundings): Promise<RestoreState> {
  const { recorded, now } = obstaclesBeside(obstacle, state);
  const next = { ...state, obstaclesIn: [...new Set([...state.obstaclesIn, recorded])] };
  await save(next);
  const number = (await exists(now)) ? (await readdir(now)).length + 1 : 1;
  const name = `${number}-${basename(obstacle)}`;
  await move(obstacle, join(now, name));
  await syncDirectory(now);
  tell(`${obstacle} was made while the restore was half done; it is kept as ${join(recorded, name)} until the restore is finished`);
  await checkpoint(`put aside ${obstacle}`);
  return next;
}

/** True for what lies in a directory of a restore. */
const isOurs = (path: string): boolean => path.split(sep).some((name) => name.startsWith('.stillpoint'));

/** Where obstacles go: the directory as it is called when everything is at rest, and now. */
function obstaclesBeside(path: string, { trees, operationId }: RestoreState): { recorded: string; now: string } {
  const within = trees.find(({ layout, live }) => layout === 'inside' && dirname(path) === live);
  if (within !== undefined) {
    const name = `obstacles-${operationId}`;
    return { recorded: join(atRest(within), name), now: join(inMotion(within), name) };
  }
  const beside = join(dirname(path), `.stillpoint-obstacles-${operationId}`);
  return { recorded: beside, now: beside };
}

/** The way back from the steps carried out so far: the one that may be half done, then those before it, each reversed. */
export const wayBack = (steps: readonly Step[], done: number): Move[][] =>
  steps
    .slice(0, done + 1)
    .reverse()
    .map((step) => step.map(({ from, to }) => ({ from: to, to: from })));
