import { join } from 'node:path';

/** File names of the repository; the only place that knows them. */
export const LAYOUT = {
  /** Written last: the commit. Without it the set does not exist. */
  setManifest: 'set.json',
  /** Written first: tells an unfinished set from a stray directory. */
  started: 'started.json',
  howToRestore: 'HOW-TO-RESTORE.txt',
  /** Beside `setManifest`, which never changes: while it is there the set is not deleted. */
  protection: 'protected.json',
  partManifest: 'part.json',
  mariadbFull: 'mariadb.full.mbstream.zst',
  /** What of a server has changed since the image of another set. */
  mariadbIncremental: 'mariadb.incr.mbstream.zst',
  /** What of a server has changed at the cut since its other image was copied, which lies in the same part. */
  mariadbDelta: 'mariadb.delta.mbstream.zst',
  configuration: 'config.tar.zst',
  /** The i-th shard of a dbroot, from 0: they are written and read in parallel. */
  dbroot: (number: number, i: number): string => `dbroot${number}.base.${i}.tar.zst`,
  /** What of a dbroot has changed since its other shards were written; the last of its shards. */
  dbrootDelta: (number: number): string => `dbroot${number}.delta.tar.zst`,
  /** The list of what a dbroot holds. */
  dbrootFiles: (number: number): string => `dbroot${number}.files.jsonl.zst`,
} as const;

/** `<repository>/<cluster>/<set-id>`. */
export const setDirectory = (repository: string, cluster: string, setId: string): string => join(repository, cluster, setId);

/** `<repository>/<cluster>/<set-id>/<node>`. */
export const partDirectory = (repository: string, cluster: string, setId: string, node: string): string =>
  join(setDirectory(repository, cluster, setId), node);
