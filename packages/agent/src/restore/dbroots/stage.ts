import { chown, mkdir, open } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { archivesOf } from '@stillpoint/shared/manifest';
import { currentBrm } from '../../columnstore/brm/current.ts';
import { exists, ownAccount } from '../../host/index.ts';
import { together } from '../../task/together.ts';
import type { TaskContext } from '../../task/types.ts';
import type { PlannedEngine } from '../stage-plan.ts';
import { type FilledDbroot, fillDbroot } from './fill.ts';
import type { EngineTarget } from './target.ts';
import { dbrmWithin, dbrootTree } from './trees.ts';

/**
 * Fills the stages of a node's dbroots, all at the same time, and sees that the engine will find its block resolution manager in them.
 * Throws as `fillDbroot` does, or BRM_FAILED or RESTORE_REFUSED for an image that the engine of this node could not start from.
 */
export async function stageDbroots(planned: PlannedEngine, task: TaskContext): Promise<void> {
  const { dbroots, trees } = planned;
  const filling = dbroots.flatMap(({ number, image }) => {
    const tree = trees.find(({ name }) => name === dbrootTree(number));
    return image === undefined || tree === undefined ? [] : [{ number, image, tree }];
  });
  const total = filling.reduce((sum, { image }) => sum + storedBytes(image), 0);
  let done = 0;
  const onPiece = (bytes: number): void => {
    done += bytes;
    task.progress('dbroots', done, total);
  };
  await together(
    task.signal,
    filling.map(({ number, image, tree }) => async (signal: AbortSignal) => {
      task.log(`reading dbroot ${number} of set ${image.source.part.setId} from ${image.source.where}`);
      await fillDbroot({ image, tree }, { ...task, signal }, onPiece);
    }),
  );
  await seeToBrm(planned);
}

const storedBytes = ({ source, dbroot }: FilledDbroot['image']): number =>
  archivesOf(source.part, dbroot).reduce((sum, shard) => sum + shard.storedBytes, 0);

/**
 * Where dbroot 1 is restored: looks at the saved block resolution manager in it. Where it is another node's, its place must be there all the
 * same: log files of every node lie in it.
 */
async function seeToBrm({ target, trees }: PlannedEngine): Promise<void> {
  const place = await dbrmWithin(target, trees);
  if (place === undefined) return;
  const { tree, directory } = place;
  const names = relative(tree.live, directory).split(sep);
  if (target.isPrimary) {
    await requireBrm(join(tree.stage, ...names), target);
    return;
  }
  for (const path of names.map((_, index) => join(tree.stage, ...names.slice(0, index + 1)))) {
    if (await exists(path)) continue;
    await mkdir(path);
    if (ownAccount().uid === 0) await chown(path, tree.owner.uid, tree.owner.gid);
  }
}

/** First bytes of an extent map that engines from 6 on write, little endian; earlier ones cannot read it. */
const EXTENT_MAP_OF_6 = 0x76f78b20;

/** Throws BRM_FAILED when the set that is called current is not whole, RESTORE_REFUSED when the engine here is too old for it. */
async function requireBrm(directory: string, { dbrmName, generation, version }: EngineTarget): Promise<void> {
  const { files } = await currentBrm(join(directory, dbrmName));
  const isOld = ['oam', '1.4'].includes(generation) || Number.parseInt(version, 10) < 6;
  if (!isOld || (await firstWord(files.em)) !== EXTENT_MAP_OF_6) return;
  const message = `The extent map in the set is of an engine 6 or later; this node has one ${version || `of generation ${generation}`}, which cannot read it`;
  throw new StillpointError('RESTORE_REFUSED', message, { hint: 'Install the engine of the set, or a newer one.' });
}

async function firstWord(path: string): Promise<number> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead < 4 ? 0 : buffer.readUInt32LE(0);
  } finally {
    await file.close();
  }
}
