import type { BigIntStats } from 'node:fs';

/** What is in a dbroot, as the system tells it without reading any content. */
export interface ScannedEntry {
  readonly type: 'file' | 'directory' | 'link';
  /** Relative to the dbroot. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes; 0 for anything but a file. */
  readonly size: number;
  /** Since 1970, decimal: they do not fit a double. */
  readonly mtimeNs: string;
  readonly ctimeNs: string;
  readonly inode: string;
  /** Where a link leads; empty for anything else. */
  readonly target: string;
}

/** An entry from what the system tells; links without their target. */
export const entryOf = (type: ScannedEntry['type'], path: string, stats: BigIntStats): ScannedEntry => ({
  type,
  path,
  mode: Number(stats.mode & 0o7777n),
  uid: Number(stats.uid),
  gid: Number(stats.gid),
  size: type === 'file' ? Number(stats.size) : 0,
  mtimeNs: String(stats.mtimeNs),
  ctimeNs: String(stats.ctimeNs),
  inode: String(stats.ino),
  target: '',
});

/**
 * Changes whenever the content of a file does: it was never seen otherwise on the real engine, whose writes go through the page cache.
 * Size alone tells nothing, as most writes are in place.
 */
export const stampOf = ({ type, size, mtimeNs, ctimeNs, inode, target }: ScannedEntry): string =>
  type === 'file' ? `file ${size} ${mtimeNs} ${ctimeNs} ${inode}` : `${type} ${target}`;
