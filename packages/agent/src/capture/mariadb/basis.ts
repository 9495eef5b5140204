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

/** What tells that a server is the one whose image was taken. */
export interface KnownServer {
  readonly version: string;
  readonly datadir: string;
  readonly incarnation?: string | undefined;
  /** Of the image, decimal. */
  readonly lastLsn: string;
}

/**
 * What the image of the server may be an increment of, when so many images are about to be added to the chain; undefined for a full one, with a note when an increment was asked for. mariadb-backup compares
 * nothing but log sequence numbers, so what it would not see is looked at here. Throws SERVER_DOWN, ACCESS_DENIED or the signal's reason.
 */
export async function basisOf(
  parent: Parent | undefined,
  mariadb: MariadbConfig,
  { note, signal }: Pick<ImageWork, 'note' | 'signal'>,
  images = 1,
): Promise<Basis | undefined> {
  if (parent === undefined) return undefined;
  try {
    const part = await parent.own();
    const basis = chainOf(part, parent.maxChain, images);
    await requireStored(basis.chain, part);
    await requireParentServer(part, mariadb, signal);
    return basis;
  } catch (error) {
    if (!(error instanceof NotUsable)) throw error;
    note(`the server is taken in full: ${error.message}`);
    return undefined;
  }
}

function chainOf(parent: ParentPart, maxChain: number, images: number): Basis {
  const { mariadb, node, setId } = parent.part;
  const chain = imagesOf(parent.part).map((shard) => asBorrowed(shard, parent));
  if (mariadb === undefined || chain.length === 0) throw new NotUsable(`set ${setId} has no server of ${node}`);
  if (chain.length - 1 + images > maxChain) throw new NotUsable(`more than ${maxChain} increments would follow the last full image`);
  return { setId, lsn: mariadb.toLsn, chain };
}

async function requireParentServer({ part }: ParentPart, config: MariadbConfig, signal: AbortSignal): Promise<void> {
  const { setId, mariadb: before } = part;
  if (before === undefined) throw new NotUsable(`set ${setId} has no server`);
  await requireSameServer(before, `set ${setId}`, config, signal);
}

/** Throws NotUsable when the server is not the one of an earlier image, SERVER_DOWN, ACCESS_DENIED or the signal's reason. */
export async function requireSameServer(before: KnownServer, image: string, config: MariadbConfig, signal: AbortSignal): Promise<void> {
  const session = await openSession(accountOf(config), signal);
  try {
    const settings = await runningSettings(session, signal);
    const { version, datadir } = settings;
    if (version !== before.version) throw new NotUsable(`it was version ${before.version} in ${image}, and is ${version}`);
    const incarnation = await incarnationOf(settings);
    if (datadir !== before.datadir || incarnation === undefined || incarnation !== before.incarnation)
      throw new NotUsable(`its data directory is not the one of ${image} any more, as after a restore`);
    const lsn = await currentLsn(session, signal);
    if (lsn < BigInt(before.lastLsn)) throw new NotUsable(`its log stands at ${lsn}, before the ${before.lastLsn} of ${image}`);
  } finally {
    await session.close();
  }
}
