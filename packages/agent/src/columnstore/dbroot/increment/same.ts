import type { ListedFile } from '@stillpoint/shared/manifest';
import type { ScannedEntry } from '../entry.ts';

/** What is known of a file by its stamps alone. */
export type Verdict = 'same' | 'read' | 'changed';

/** A restore sets times to less than this, nanoseconds: the system takes them as numbers of seconds that are not whole. */
export const RESTORED_WITHIN_NS = 1_000n;

/**
 * Whether a file is the one that a list has. `read` stands for one that may be: the same size and time, and another place on disk, as after a restore,
 * or stamps that prove nothing. Pure.
 */
export function verdictOf(now: ScannedEntry, known: ListedFile): Verdict {
  if (now.size !== known.size) return 'changed';
  const isSameTime = now.mtimeNs === known.mtimeNs;
  if (isSameTime && now.ctimeNs === known.ctimeNs && now.inode === known.inode) return 'same';
  const apart = BigInt(now.mtimeNs) - BigInt(known.mtimeNs);
  return apart < RESTORED_WITHIN_NS && -apart < RESTORED_WITHIN_NS ? 'read' : 'changed';
}
