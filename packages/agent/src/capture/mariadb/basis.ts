import { type BorrowedShard, imagesOf } from '@stillpoint/shared/manifest';
import type { MariadbConfig } from '../../config/schema.ts';
import { currentLsn, incarnationOf } from '../../mariadb/incarnation.ts';
import { accountOf, openSession } from '../../mariadb/session.ts';
import { runningSettings } from '../../mariadb/settings.ts';
import { asBorrowed, NotUsable, type Parent, type ParentPart, requireStored } from '../parent.ts';
import type { ImageWork } from '../storage.ts';

/** What an incremental image of a server builds upon. */
export interface Basis {
  readonly setId: string;
  /** Log sequence number from which on changes are copied, decimal. */
  readonly lsn: string;
  /** Images up to there, the full one first. */
  readonly chain: readonly BorrowedShard[];
}

/**
 * What the image of the server may be an increment of; undefined for a full one, with a note when an increment was asked for. mariadb-backup compares
 * nothing but log sequence numbers, so what it would not see is looked at here. Throws SERVER_DOWN, ACCESS_DENIED or the signal's reason.
 */
export async function basisOf(
  parent: Parent | undefined,
  mariadb: MariadbConfig,
  { note, signal }: Pick<ImageWork, 'note' | 'signal'>,
): Promise<Basis | undefined> {
  if (parent === undefined) return undefined;
  try {
    const part = await parent.own();
    const basis = chainOf(part, parent.maxChain);
    await requireStored(basis.chain, part);
    await requireSameServer(part, mariadb, signal);
    return basis;
  } catch (error) {
    if (!(error instanceof NotUsable)) throw error;
    note(`the server is taken in full: ${error.message}`);
    return undefined;
  }
}

function chainOf(parent: ParentPart, maxChain: number): Basis {
  const { mariadb, node, setId } = parent.part;
  const chain = imagesOf(parent.part).map((shard) => asBorrowed(shard, parent));
  if (mariadb === undefined || chain.length === 0) throw new NotUsable(`set ${setId} has no server of ${node}`);
  if (chain.length > maxChain) throw new NotUsable(`${maxChain} increments follow the last full image already`);
  return { setId, lsn: mariadb.toLsn, chain };
}

async function requireSameServer({ part }: ParentPart, config: MariadbConfig, signal: AbortSignal): Promise<void> {
  const { setId, mariadb: before } = part;
  if (before === undefined) throw new NotUsable(`set ${setId} has no server`);
  const session = await openSession(accountOf(config), signal);
  try {
    const settings = await runningSettings(session, signal);
    const { version, datadir } = settings;
    if (version !== before.version) throw new NotUsable(`it was version ${before.version} in set ${setId}, and is ${version}`);
    const incarnation = await incarnationOf(settings);
    if (datadir !== before.datadir || incarnation === undefined || incarnation !== before.incarnation)
      throw new NotUsable(`its data directory is not the one of set ${setId} any more, as after a restore`);
    const lsn = await currentLsn(session, signal);
    if (lsn < BigInt(before.lastLsn)) throw new NotUsable(`its log stands at ${lsn}, before the ${before.lastLsn} of set ${setId}`);
  } finally {
    await session.close();
  }
}
