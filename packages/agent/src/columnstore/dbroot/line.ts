import type { ScannedEntry } from './entry.ts';

type Line = [ScannedEntry['type'], string, number, number, number, number, string, string, string, string];

/** A scanned entry as a line of a file of ours, with its end. */
export function lineOf({ type, path, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target }: ScannedEntry): string {
  return `${JSON.stringify([type, path, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target] satisfies Line)}\n`;
}

/** The entry of a line, without its end. */
export function entryOfLine(line: string): ScannedEntry {
  const [type, path, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target] = JSON.parse(line) as Line;
  return { type, path, mode, uid, gid, size, mtimeNs, ctimeNs, inode, target };
}
