import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { LAYOUT, partDirectory, type Shard } from '@stillpoint/shared/manifest';
import { FILE_MODE } from '../archive/index.ts';
import type { AgentConfig } from '../config/schema.ts';
import type { Hold } from '../hold/types.ts';
import { removeFileDurably, syncDirectory, writeFileDurably } from '../host/index.ts';
import type { EngineImage } from './columnstore/engine-image.ts';

/** As the files in it: for their owner and group. */
const DIRECTORY_MODE = 0o750;

/** What capture leaves for publish; gone once part.json is there. */
const CAPTURED = '.captured.json';

/** The server's image in a part, and the server it came from. */
export interface ServerImage {
  readonly shard: Shard;
  /** Size of the server's files, bytes. */
  readonly dataBytes: number;
  readonly backupToolVersion: string;
  readonly fromLsn: string;
  readonly toLsn: string;
  readonly lastLsn: string;
  readonly server: { readonly version: string; readonly serverId: number; readonly datadir: string; readonly port: number };
}

/** All images of a node. */
export interface CapturedImages {
  /** Undefined on a node without a server. */
  readonly server?: ServerImage;
  /** Undefined on a node without the engine of ColumnStore. */
  readonly engine?: EngineImage;
  /** How long it took altogether. */
  readonly captureMs: number;
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

/** Holds under which a capture has succeeded. An operation that takes its hold anew has captured nothing under that one. */
const capturedUnder = new WeakSet<Hold>();

/** To be called when everything was captured under a hold, and that was in force still. */
export const rememberHold = (hold: Hold): void => void capturedUnder.add(hold);

/** Whether everything was captured under this very hold. */
export const isCapturedUnder = (hold: Hold): boolean => capturedUnder.has(hold);

/** Keeps what capture learned until the part is published. */
export const keepCaptured = (part: string, images: CapturedImages): Promise<void> =>
  writeFileDurably(join(part, CAPTURED), JSON.stringify(images), FILE_MODE);

/** What capture kept. Throws PART_NOT_FOUND. */
export async function readCaptured(part: string): Promise<CapturedImages> {
  try {
    return JSON.parse(await readFile(join(part, CAPTURED), 'utf8')) as CapturedImages;
  } catch (cause) {
    throw new StillpointError('PART_NOT_FOUND', `${part} holds no captured images to publish`, { cause });
  }
}

export const forgetCaptured = (part: string): Promise<void> => removeFileDurably(join(part, CAPTURED));

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
