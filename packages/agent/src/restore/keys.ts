import { StillpointError } from '@stillpoint/shared/errors';
import { type BorrowedShard, borrowedOf, type Shard } from '@stillpoint/shared/manifest';
import { Damaged } from '../archive/damaged.ts';
import { openerOf, type PartSource } from './source.ts';

/** Bytes that hold the header of an encrypted file; of a longer one whoever reads on learns what is wrong. */
const BEGINNING = 64 * 1024;

/**
 * Tries the identities of this node on every encrypted file of a part, and on those that it borrows, before anything is begun that would come to its end there.
 * Throws KEY_MISSING, PART_CORRUPT for a file that is not for those that the manifest names, or what reading throws.
 */
export async function requireKeys(source: PartSource, signal: AbortSignal): Promise<void> {
  const { part, keyring, where } = source;
  if (part.encryption === undefined) return;
  const { recipients } = part.encryption;
  const what = `The part of ${part.node} in ${where} is encrypted for ${recipients.join(', ')}`;
  if (keyring === undefined) throw new StillpointError('KEY_MISSING', `${what}, and the configuration of this agent names no identity`);
  if (!keyring.opens(recipients))
    throw new StillpointError('KEY_MISSING', `${what}, and this agent has identities of ${keyring.recipients.join(', ')} only`);
  for (const shard of [...part.shards, ...borrowedOf(part)]) await tryHeader(source, shard, signal);
}

async function tryHeader(source: PartSource, shard: Shard | BorrowedShard, signal: AbortSignal): Promise<void> {
  try {
    for await (const piece of source.read(shard, signal)) {
      await openerOf(source, shard)?.update(piece.subarray(0, BEGINNING));
      break;
    }
  } catch (error) {
    if (!(error instanceof Damaged || (error instanceof StillpointError && error.code === 'KEY_MISSING'))) throw error;
    const name = `${shard.name} of ${source.where}`;
    throw new StillpointError('PART_CORRUPT', `${name} cannot be opened, though part.json names a recipient of ours: ${error.message}`, {
      cause: error,
    });
  }
}
