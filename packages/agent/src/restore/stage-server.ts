import { chown, mkdir, rm } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { type BorrowedShard, imagesOf, LAYOUT, type PartManifest, placeOf, type Shard } from '@stillpoint/shared/manifest';
import type { Agent } from '../agent.ts';
import { ownAccount } from '../host/index.ts';
import type { TaskContext } from '../task/types.ts';
import { extractImage } from './extract.ts';
import { runAs } from './places.ts';
import { applyIncrement, prepareImage } from './prepare.ts';
import { withPrivateServer } from './private-server.ts';
import { type Proof, proveTables, setPosition } from './prove.ts';
import type { PartSource } from './source.ts';
import type { Tree } from './state.ts';
import { incrementPlace } from './trees.ts';

/** The image of a server, and where it goes. */
export interface PlannedServer {
  readonly source: PartSource;
  /** Its stage is there and empty. */
  readonly tree: Tree;
  /** Option file of the server that it will belong to. */
  readonly defaultsFile: string;
  readonly gtidPosition: string;
  /** For --prepare, bytes; 0 means a default. */
  readonly memoryBytes: number;
}

/**
 * Extracts the image of a server, and those that it builds upon, prepares it and proves it. Throws as its steps do; what was made is the
 * caller's to remove, all of it: an interrupted increment can lose tables.
 */
export async function stageServer(agent: Agent, planned: PlannedServer, task: TaskContext): Promise<Proof> {
  const { source, tree, memoryBytes } = planned;
  const { stage: directory, owner } = tree;
  const [base, ...increments] = imagesIn(source.part);
  const extract = extraction(planned, task);
  await extract(base, directory);
  task.progress('prepare', 0, 0);
  await prepareImage(directory, memoryBytes, runAs(owner), task.signal);
  for (const increment of increments) {
    const place = incrementPlace(tree);
    await mkdir(place, { mode: 0o700 });
    if (ownAccount().uid === 0) await chown(place, owner.uid, owner.gid);
    await extract(increment, place);
    task.progress('prepare', 0, 0);
    await applyIncrement(directory, place, memoryBytes, runAs(owner), task.signal);
    await rm(place, { recursive: true });
  }
  return prove(agent, planned, task);
}

type Image = Shard | BorrowedShard;

/** The full image first, then what is applied to it, in order. */
function imagesIn(part: PartManifest): readonly [Image, ...Image[]] {
  const [full, ...increments] = imagesOf(part);
  if (full !== undefined) return [full, ...increments];
  throw new StillpointError('MANIFEST_INVALID', `${LAYOUT.partManifest} of ${part.node} names no image of a server`);
}

/** Extracts one image after the other; the progress is that of all of them. */
function extraction({ source, tree }: PlannedServer, task: TaskContext): (image: Image, directory: string) => Promise<void> {
  const total = imagesOf(source.part).reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  let extracted = 0;
  return async (image, directory) => {
    task.log(`reading ${image.name} of set ${placeOf(image, source.part).setId} from ${source.where}`);
    await extractImage(source, image, { directory, runAs: runAs(tree.owner) }, task.signal, (bytes) => {
      extracted += bytes;
      task.progress('extract', extracted, total);
    });
  };
}

/** Opens the image with a server that nobody else can reach: what cannot be opened or is not what it was is found before anything is stopped. */
async function prove(agent: Agent, { source, tree, defaultsFile, gtidPosition }: PlannedServer, task: TaskContext): Promise<Proof> {
  const proof: Proof[] = [];
  const server = { directory: tree.stage, defaultsFile, owner: tree.owner, clock: agent.clock, signal: task.signal };
  await withPrivateServer(server, async (session) => {
    await setPosition(session, gtidPosition, task.signal);
    // Progress is in bytes, and tables of unknown size are none.
    proof.push(await proveTables(session, source.part, task.signal, () => task.progress('checksum', 0, 0)));
  });
  return proof[0] ?? { tablesEqual: 0, tablesUnproven: [] };
}
