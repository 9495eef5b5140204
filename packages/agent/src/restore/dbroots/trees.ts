import { stat } from 'node:fs/promises';
import { dbrootStagingBytes } from '@stillpoint/shared/manifest';
import { choosePlaces, isWithin, realDatadir } from '../places.ts';
import type { Tree } from '../state.ts';
import type { PlannedDbroot } from './fit.ts';
import type { EngineTarget } from './target.ts';

/** As packages of the engine make its directories. */
const DEFAULT_MODE = 0o755;

/** Name of the tree that is a dbroot. */
export const dbrootTree = (number: number): string => `dbroot${number}`;

/** Name of the tree that is the place of the block resolution manager. */
const DBRM = 'dbrm';

/**
 * Trees of the engine on this node: its dbroots and, where dbroot 1 is another node's, the place of the block resolution manager. What lies
 * there is a stale copy that would be believed; and without the directory the first UPDATE fails, on every node.
 */
export async function engineTrees(target: EngineTarget, operationId: string): Promise<Tree[]> {
  const trees: Tree[] = [];
  for (const { number, path } of target.owned) trees.push(await treeOf(dbrootTree(number), path, target, operationId));
  if (!target.isPrimary && (await dbrmWithin(target, trees)) === undefined) {
    trees.push(await treeOf(DBRM, target.dbrmDirectory, target, operationId));
  }
  return trees;
}

async function treeOf(name: string, path: string, { owner }: EngineTarget, operationId: string): Promise<Tree> {
  const live = await realDatadir(path);
  const mode = await stat(live).then(
    (found) => found.mode & 0o7777,
    () => DEFAULT_MODE,
  );
  return { ...(await choosePlaces(name, live, operationId)), owner, mode };
}

/** The dbroot in which the place of the block resolution manager lies, and that place, behind links; undefined when it lies in none. */
export async function dbrmWithin(
  { dbrmDirectory }: Pick<EngineTarget, 'dbrmDirectory'>,
  trees: readonly Tree[],
): Promise<{ readonly tree: Tree; readonly directory: string } | undefined> {
  const directory = await realDatadir(dbrmDirectory);
  const tree = trees.find(({ name, live }) => name !== DBRM && isWithin(directory, live));
  return tree === undefined ? undefined : { tree, directory };
}

/** Bytes that staging a tree of the engine takes. */
export function dbrootBytes({ name }: Tree, dbroots: readonly PlannedDbroot[]): number {
  const image = dbroots.find(({ number }) => dbrootTree(number) === name)?.image;
  return image === undefined ? 0 : dbrootStagingBytes(image.dbroot);
}
