import type { ListedEntry } from '@stillpoint/shared/manifest';
import { Damaged } from './damaged.ts';
import type { TarEntry } from './tar/blocks.ts';

/** What another list may have had otherwise. */
const OF_ITS_LIST = ['mode', 'time'];

/**
 * Throws Damaged when a header in the archive and the line of the list do not say the same; of an archive that was written for another list, with
 * `isBorrowed`, as far as it concerns the content.
 */
export function requireAgreement(header: TarEntry | undefined, listed: ListedEntry, isBorrowed = false): void {
  if (header === undefined) throw new Damaged(`the archive ends before ${listed.path}`);
  for (const [what, there, here] of compared(header, listed)) {
    if (isBorrowed && OF_ITS_LIST.includes(what)) continue;
    if (there !== here) throw new Damaged(`its tar header has the ${what} ${JSON.stringify(there)}, the list ${JSON.stringify(here)}`);
  }
}

const compared = (header: TarEntry, listed: ListedEntry): [string, string | number, string | number][] => [
  ['path', header.path, listed.path],
  ['type', header.type, listed.type],
  ['mode', header.mode.toString(8).padStart(4, '0'), listed.mode],
  ['time', String(header.mtimeNs), listed.mtimeNs],
  ['size', header.size, listed.type === 'file' ? listed.size : 0],
  ['target', header.target, listed.type === 'link' ? listed.target : ''],
];
