import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';
import { exists } from '../../../host/index.ts';
import type { PrecopiedRecord } from '../../../precopied/index.ts';
import { waitTurn } from '../../../throttle/node.ts';
import { type NamedBy, namedShard } from '../packing/names.ts';
import type { StoredShard } from './dbroot-precopy.ts';

/** Bytes read at once. */
const PIECE_BYTES = 1024 * 1024;

/** Where the shards lie, and how they are named now. */
interface Verification extends NamedBy {
  readonly part: string;
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** The shards of a record, all of which were read and found to be as they were written; else what is wrong, a clause. */
export type Verified = { readonly shards: readonly StoredShard[] } | { readonly fault: string };

/** Reads the shards that an interrupted backup has left. Throws the signal's reason or the system's error. */
export async function verifiedShards({ shards }: PrecopiedRecord, verification: Verification): Promise<Verified> {
  const verified: StoredShard[] = [];
  for (const [index, { bytes, name, sha256 }] of shards.entries()) {
    const named = namedShard(verification, index);
    if (named.name !== name) return { fault: `${name} is not one of its shards` };
    const found = await digestOf(join(verification.part, name), verification);
    if (found === undefined) return { fault: `${name} is missing` };
    if (found.bytes !== bytes || found.sha256 !== sha256) return { fault: `${name} is damaged` };
    verified.push({ ...named, bytes, sha256 });
  }
  return { shards: verified };
}

/** Whether the lines that an interrupted backup has left are as they were written, as far as its record says that they are good. Throws the system's error. */
export async function areLinesGood(path: string, { lines }: PrecopiedRecord): Promise<boolean> {
  if (lines.bytes === 0) return exists(path);
  const found = await digestOf(path, { end: lines.bytes - 1, onBytes: () => {}, signal: NEVER });
  return found?.bytes === lines.bytes && found.sha256 === lines.sha256;
}

const NEVER = new AbortController().signal;

interface Reading extends Pick<Verification, 'onBytes' | 'signal'> {
  /** Place of the last byte; all of it when left out. */
  readonly end?: number;
}

/** Undefined when it is missing. */
async function digestOf(
  path: string,
  { end = Number.POSITIVE_INFINITY, onBytes, signal }: Reading,
): Promise<{ readonly bytes: number; readonly sha256: string } | undefined> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES, end }) as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      await waitTurn(piece.length, signal);
      hash.update(piece);
      bytes += piece.length;
      onBytes(piece.length);
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  return { bytes, sha256: hash.digest('hex') };
}
