import { StillpointError } from '@stillpoint/shared/errors';
import { LAYOUT, type PartManifest, type Shard } from '@stillpoint/shared/manifest';
import type { Agent } from '../agent.ts';
import type { TaskContext } from '../task/types.ts';
import { extractImage } from './extract.ts';
import { runAs } from './places.ts';
import { prepareImage } from './prepare.ts';
import { withPrivateServer } from './private-server.ts';
import { type Proof, proveTables, setPosition } from './prove.ts';
import type { PartSource } from './source.ts';
import type { Tree } from './state.ts';

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

/** Extracts the image of a server, prepares it and proves it. Throws as its steps do; what was made is the caller's to remove. */
export async function stageServer(agent: Agent, planned: PlannedServer, task: TaskContext): Promise<Proof> {
  const { source, tree, memoryBytes } = planned;
  const { stage: directory, owner } = tree;
  const shard = imageOf(source.part);
  task.log(`reading ${shard.name} of set ${source.part.setId} from ${source.where}`);
  let extracted = 0;
  await extractImage(source, shard, { directory, runAs: runAs(owner) }, task.signal, (bytes) => {
    extracted += bytes;
    task.progress('extract', extracted, shard.storedBytes);
  });
  task.progress('prepare', 0, 0);
  await prepareImage(directory, memoryBytes, runAs(owner), task.signal);
  return prove(agent, planned, task);
}

function imageOf({ node, shards }: PartManifest): Shard {
  const shard = shards.find(({ content }) => content === 'mariadb-full');
  if (shard === undefined) throw new StillpointError('MANIFEST_INVALID', `${LAYOUT.partManifest} of ${node} names no image of a server`);
  return shard;
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
