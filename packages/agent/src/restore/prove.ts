import { StillpointError } from '@stillpoint/shared/errors';
import type { PartManifest } from '@stillpoint/shared/manifest';
import { isGtidPosition, sameGtidPosition } from '@stillpoint/shared/replication';
import { setGtidPosition } from '../mariadb/replication.ts';
import type { Session } from '../mariadb/session.ts';
import { checksumTables, compareChecksums } from '../proof/index.ts';

/** Sets the position from which restored data goes on, see `setGtidPosition`; nothing for an empty one. Throws STAGE_FAILED. */
export async function setPosition(session: Session, position: string, signal: AbortSignal): Promise<void> {
  if (position === '') return;
  if (!isGtidPosition(position)) throw new StillpointError('STAGE_FAILED', `"${position.slice(0, 80)}" is not a GTID position`);
  const found = await setGtidPosition(session, position, signal);
  if (sameGtidPosition(found, position)) return;
  throw new StillpointError('STAGE_FAILED', `The restored server stands at GTID ${found} after it was set to ${position}`);
}

/** What the checksums of restored tables proved. */
export interface Proof {
  readonly tablesEqual: number;
  /** Tables that could not be compared, with the reason, a sentence each. */
  readonly tablesUnproven: string[];
}

/** A private server does not load plugins that were installed by SQL: their tables are there, and cannot be read now. */
const ENGINE_NOT_LOADED = /^Unknown storage engine/;

/**
 * Compares every table with its checksum at the cut.
 * Throws PROOF_FAILED with the names of those that differ, are missing or cannot be read.
 */
export async function proveTables(
  session: Session,
  part: PartManifest,
  signal: AbortSignal,
  progress: (tablesDone: number, tablesTotal: number) => void,
): Promise<Proof> {
  const sums = await checksumTables(session, part.checksums, { signal, progress });
  const notLoaded = sums.unproven.filter(({ reason }) => ENGINE_NOT_LOADED.test(reason));
  const unreadable = sums.unproven.filter(({ reason }) => !ENGINE_NOT_LOADED.test(reason));
  const { equal, differing } = compareChecksums(part.checksums, sums.checksums);
  const wrong = [...differing, ...unreadable.map(({ database, table, reason }) => `${database}.${table} (${reason})`)];
  if (wrong.length > 0) {
    const told = wrong.length > 10 ? `${wrong.slice(0, 10).join(', ')} and ${wrong.length - 10} more` : wrong.join(', ');
    throw new StillpointError(
      'PROOF_FAILED',
      `${wrong.length} of ${part.checksums.length} tables are not what they were at the cut: ${told}`,
    );
  }
  const tablesUnproven = [...part.unproven, ...notLoaded].map(({ database, table, reason }) => `${database}.${table}: ${reason}`);
  return { tablesEqual: equal, tablesUnproven };
}
