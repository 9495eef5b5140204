import { StillpointError } from '@stillpoint/shared/errors';
import type { ListedFile } from '@stillpoint/shared/manifest';
import { isTooFresh } from '../precopy/fresh.ts';
import type { ParentDbroot } from './parent-dbroot.ts';

/**
 * The files of a parent's list, in its order, without the stamps that do not prove that a file is the same. Throws what the list does, or PART_CORRUPT
 * when it has more files than part.json says.
 */
export async function* parentFiles({ files, list, lookedAtMs, setId }: ParentDbroot, signal: AbortSignal): AsyncGenerator<ListedFile> {
  let count = 0;
  for await (const entry of list(signal)) {
    if (entry.type !== 'file') continue;
    count += 1;
    if (count > files)
      throw new StillpointError('PART_CORRUPT', `A list of set ${setId} has more than the ${files} files that part.json counts`);
    yield lookedAtMs === undefined ? withoutStamp(entry) : surely(entry, lookedAtMs);
  }
}

/** The file, without its stamp unless a later write would have changed that. Pure. */
export const surely = (file: ListedFile, lookedAtMs: number): ListedFile =>
  file.ctimeNs !== undefined && isTooFresh(BigInt(file.ctimeNs), lookedAtMs) ? withoutStamp(file) : file;

function withoutStamp({ ctimeNs: _ctime, inode: _inode, ...file }: ListedFile): ListedFile {
  return file;
}
