import type { ListedFile } from '@stillpoint/shared/manifest';
import type { ScannedEntry } from '../entry.ts';
import { entryOfLine, lineOf } from '../line.ts';
import type { LinesFile } from '../lines-file.ts';
import { commonOf, type NamedEntry, nameOwners } from '../named.ts';
import { createOwners } from '../owners.ts';
import { isBorrowed } from './borrowed-lines.ts';
import { compareFiles, type KnownFile } from './comparing/compare-files.ts';
import type { Compared } from './comparing/orders.ts';
import type { StoredFiles } from './stored-files.ts';

/** Files that are not as they are on record. */
export interface ToSortOut {
  readonly root: string;
  /** Lines of them. */
  readonly differing: LinesFile;
  readonly stored: StoredFiles;
  /** Files that are stored in any case, and later; see rules.ts. */
  readonly restless: ReadonlySet<string>;
  /** Gets lines of those that have to be stored. */
  readonly toStore: LinesFile;
  readonly threads: number;
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** What has to be stored. */
export interface SortedOut {
  readonly files: number;
  readonly bytes: number;
}

/**
 * Finds out which files have to be stored. One that has the size and time of one on record is read: as after a restore, or a crash of the machine, its
 * content may be the same all the same, and is then on record under its present stamp. Throws CAPTURE_FAILED, DISK_FULL, the system's error or the
 * signal's reason.
 */
export async function sortOut({ differing, onBytes, restless, root, signal, stored, threads, toStore }: ToSortOut): Promise<SortedOut> {
  const total = { files: 0, bytes: 0 };
  const store = async (entry: ScannedEntry): Promise<void> => {
    total.files += 1;
    total.bytes += entry.size;
    await toStore.add(lineOf(entry));
  };
  const marks = new Uint8Array(stored.lines + 1);
  let marked = 0;
  for await (const line of differing.lines()) {
    const entry = entryOfLine(line);
    if (restless.has(entry.path)) continue;
    const number = stored.lineLike(entry);
    marks[number] = 1;
    if (number === 0) await store(entry);
    else marked += 1;
  }
  marks[0] = 0;
  if (marked > 0) {
    const owners = createOwners();
    const onCompared = async ({ number, file }: KnownFile, compared: Compared): Promise<void> => {
      const { entry, isSame, isSure } = compared;
      const named = await nameOwners(owners, entry);
      if (!(isSame && mayHave(file, named))) return store(entry);
      // What is not sure is looked at again: by the next pass, or inside the still point.
      if (isSure) stored.renew(number, entry, commonOf(named));
    };
    await compareFiles({ root, files: stored.marked(marks), threads, onCompared, onBytes, signal });
  }
  await toStore.flush();
  return total;
}

/**
 * Whether what is stored of a file may be listed with the mode, owner and time that it has now. An archive of our own has them in its headers, to the
 * nanosecond; of what lies in another set, the list alone says them.
 */
function mayHave(file: ListedFile, now: NamedEntry): boolean {
  const { mode, owner, mtimeNs } = commonOf(now);
  return isBorrowed(file) || (mode === file.mode && owner === file.owner && mtimeNs === file.mtimeNs);
}
