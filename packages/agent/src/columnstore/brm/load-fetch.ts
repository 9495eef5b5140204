import { chmod, chown, lstat, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { SeedSource } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../../config/schema.ts';
import { type Account, exists, ownAccount } from '../../host/index.ts';
import { openSeedClient } from '../../seed/client.ts';

/** Where the block resolution manager comes from, and where it goes. */
interface Fetching {
  /** Name of the primary's node. */
  readonly node: string;
  readonly seed: SeedSource;
  /** Of the files that are written. */
  readonly prefix: string;
  readonly owner: Account;
}

/** In the order in which they are needed; as the shards and the ends of the files are called. */
const FILES = ['em', 'vbbm', 'vss', 'journal'] as const;

/**
 * Fetches the current block resolution manager of the primary. Throws USAGE without the name of its node, what the agent there answers, the
 * system's error, or the signal's reason; files that are written then are half or old, and the caller's to remove.
 */
export async function fetchBrm(config: AgentConfig, { node, seed, prefix, owner }: Fetching, signal: AbortSignal): Promise<void> {
  if (node === '') throw new StillpointError('USAGE', 'The task does not name the node of the primary');
  await makeScratch(dirname(prefix), owner);
  const { fetch, close } = openSeedClient(config, node, seed);
  try {
    for (const file of FILES) await write(`${prefix}_${file}`, fetch({ name: file }, signal), owner);
  } finally {
    close();
  }
}

/** As the engine makes it: everybody may put copies there. */
const SCRATCH_MODE = 0o777;

/**
 * Makes the directory for copies, unless it is there. Throws BRM_FAILED for one that is a link or belongs to somebody else: everybody may make
 * such a directory first, and have what is written into it go anywhere.
 */
export async function makeScratch(directory: string, { uid, gid }: Account): Promise<void> {
  for (const path of [dirname(directory), directory]) await refuseForeign(path, uid);
  if (await exists(directory)) return;
  await mkdir(directory, { recursive: true });
  if (ownAccount().uid === 0) for (const path of [dirname(directory), directory]) await chown(path, uid, gid);
  await chmod(directory, SCRATCH_MODE);
}

async function refuseForeign(path: string, owner: number): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined || (found.isDirectory() && [owner, ownAccount().uid, 0].includes(found.uid))) return;
  const what = found.isDirectory() ? `belongs to another account (uid ${found.uid})` : 'is no directory';
  throw new StillpointError('BRM_FAILED', `${path}, where copies of the block resolution manager go, ${what}`, {
    hint: 'Find out who made it; then remove it.',
  });
}

async function write(path: string, pieces: AsyncIterable<Uint8Array>, { uid, gid }: Account): Promise<void> {
  // The directory is everybody's: what lies there under that name may lead elsewhere.
  await rm(path, { force: true });
  const file = await open(path, 'wx', 0o640);
  try {
    if (ownAccount().uid === 0) await file.chown(uid, gid);
    for await (const piece of pieces) await file.writeFile(piece);
  } finally {
    await file.close();
  }
}
