import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BorrowedShard, LAYOUT, partDirectory, type Shard } from '@stillpoint/shared/manifest';
import { FILE_MODE } from '../archive/index.ts';
import type { AgentConfig } from '../config/schema.ts';
import { syncDirectory, writeFileDurably } from '../host/index.ts';

/** As the files in it: for their owner and group. */
const DIRECTORY_MODE = 0o750;

/** The server's image in a part, and the server it came from. */
export interface ServerImage {
  readonly shard: Shard;
  /** What `shard` is an increment of, if that lies in the same part: copied before the still point. */
  readonly base: Shard | undefined;
  /** Images of other sets that it builds upon, the full one first; undefined when that is in this part. */
  readonly chain: readonly BorrowedShard[] | undefined;
  /** See incarnationOf. */
  readonly incarnation: string | undefined;
  /** Size of the server's files, bytes. */
  readonly dataBytes: number;
  readonly backupToolVersion: string;
  readonly fromLsn: string;
  readonly toLsn: string;
  readonly lastLsn: string;
  readonly server: { readonly version: string; readonly serverId: number; readonly datadir: string; readonly port: number };
}

type Place = Pick<AgentConfig, 'repository' | 'cluster' | 'node'>;

/** Where this node's part of a set lies. */
export const partOf = ({ repository, cluster, node }: Place, setId: string): string => partDirectory(repository, cluster, setId, node);

/** Makes the part's directory with the file that tells an unfinished set from a stray directory. Throws the system's error. */
export async function beginPart(config: Place, setId: string, operationId: string, startedAt: Date): Promise<string> {
  const part = partOf(config, setId);
  await mkdir(part, { recursive: true, mode: DIRECTORY_MODE });
  const started = { cluster: config.cluster, setId, node: config.node, operationId, startedAt: startedAt.toISOString() };
  await writeFileDurably(join(part, LAYOUT.started), `${JSON.stringify(started, null, 2)}\n`, FILE_MODE);
  return part;
}

/** Makes a stored file outlive a power cut. Throws the system's error. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the names of a part outlive a power cut: in its directory, and of the directories above it. Throws the system's error. */
export async function syncPart(part: string): Promise<void> {
  for (const directory of [part, join(part, '..'), join(part, '..', '..'), join(part, '..', '..', '..')]) await syncDirectory(directory);
}

/** A directory for a tool's files, emptied. */
export async function scratchDirectory(path: string): Promise<string> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { mode: 0o700 });
  return path;
}
