import type { ListedEntry, ListedFile } from '@stillpoint/shared/manifest';
import type { TarEntry } from '../../archive/index.ts';
import type { ScannedEntry } from './entry.ts';
import type { Owners } from './owners.ts';

/** An entry with the names of its owner: a number where it has no name. */
export interface NamedEntry extends ScannedEntry {
  readonly user: string;
  readonly group: string;
}

/** Adds the names. */
export const nameOwners = async (owners: Owners, entry: ScannedEntry): Promise<NamedEntry> => {
  const { user, group } = await owners(entry.uid, entry.gid);
  return { ...entry, user, group };
};

/** An entry as the archive has it. Pure. */
export function headerOf({ type, path, mode, uid, gid, user, group, mtimeNs, size, target }: NamedEntry): TarEntry {
  const named = (name: string): string => (/^\d+$/.test(name) ? '' : name);
  return { type, path, mode, uid, gid, user: named(user), group: named(group), mtimeNs: BigInt(mtimeNs), size, target };
}

/** What all lines of the list have in common. Pure. */
export const commonOf = ({ path, mode, user, group, mtimeNs }: NamedEntry) => ({
  path,
  mode: mode.toString(8).padStart(4, '0'),
  owner: `${user}:${group}`,
  mtimeNs,
});

/** What a line of the list says of a file, beside that, by which it is known again. Pure. */
export const stampsOf = ({ ctimeNs, inode }: ScannedEntry) => ({ ctimeNs, inode });

/** A line of the list for a directory or a link. Pure. */
export const plainLineOf = (entry: NamedEntry): ListedEntry =>
  entry.type === 'link' ? { type: 'link', ...commonOf(entry), target: entry.target } : { type: 'directory', ...commonOf(entry) };

/** The line of the list for a file, with its end. As `encodeEntry` makes it, which would bring all schemas of manifests onto every thread. Pure. */
export function encodedFileLine(
  entry: NamedEntry,
  sha256: string,
  place: Pick<ListedFile, 'shard' | 'frame' | 'frameBytes' | 'at'>,
): string {
  const line: ListedFile = { type: 'file', ...commonOf(entry), ...stampsOf(entry), size: entry.size, sha256, ...place };
  return `${JSON.stringify(line)}\n`;
}
