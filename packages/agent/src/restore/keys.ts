import { StillpointError } from '@stillpoint/shared/errors';
import { type BorrowedShard, borrowedOf, placeOf, type Shard } from '@stillpoint/shared/manifest';
import { Damaged } from '../archive/damaged.ts';
import { openerOf, type PartSource } from './source.ts';

/** Bytes that hold the header of an encrypted file; of a longer one whoever reads on learns what is wrong. */
const BEGINNING = 64 * 1024;

/**
 * Tries the identities of this node on every encrypted file of a part, and on those that it borrows, before anything is begun that would come to its end there.
 * Throws KEY_MISSING, also for a borrowed file that is for others than the part: an increment is made for the recipients of its parent only, but that is not written
 * down in it. Throws PART_CORRUPT for a file of its own that is not for those that the manifest names, or what reading throws.
 */
export async function requireKeys(source: PartSource, signal: AbortSignal): Promise<void> {
  const { part, keyring, where } = source;
  if (part.encryption === undefined) return;
  const { recipients } = part.encryption;
  const what = `The part of ${part.node} of set ${part.setId} in ${where} is encrypted for ${recipients.join(', ')}`;
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
    if (!(error instanceof Damaged || isKeyMissing(error))) throw error;
    const { setId, node } = placeOf(shard, source.part);
    const name = `${shard.name} of set ${setId} in ${source.where}`;
    if ('set' in shard && isKeyMissing(error)) throw borrowedForOthers(name, node, source, error);
    throw new StillpointError('PART_CORRUPT', `${name} cannot be opened, though part.json names a recipient of ours: ${error.message}`, {
      cause: error,
    });
  }
}

const isKeyMissing = (error: unknown): error is StillpointError => error instanceof StillpointError && error.code === 'KEY_MISSING';

function borrowedForOthers(name: string, node: string, { part, keyring }: PartSource, cause: StillpointError): StillpointError {
  const own = keyring?.recipients.join(', ') ?? 'none';
  return new StillpointError(
    'KEY_MISSING',
    `${name}, which set ${part.setId} uses, is encrypted for others than the identities of this agent (${own})`,
    {
      hint: `part.json of ${node} in that set says for whom: add that identity to decryption.identityFile, which may hold several.`,
      cause,
    },
  );
}
