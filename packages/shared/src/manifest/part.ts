import { posix } from 'node:path';
import { z } from 'zod';
import { NAME_PATTERN } from '../operation/index.ts';
import { imageFault } from './images.ts';

const name = z.string().regex(NAME_PATTERN);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'not a sha256 in hex');
const bytes = z.number().int().nonnegative();
const milliseconds = z.number().nonnegative();

/** An absolute path without `.` or `..` in it: a manifest cannot point outside of what it names. */
const absolutePath = z
  .string()
  .refine((path) => posix.isAbsolute(path) && posix.normalize(path) === path && !path.includes('\0'), 'not a plain absolute path');

/** One stored file of a part. */
const shard = z.strictObject({
  /** File name within the part's directory: no path. */
  name,
  /** What is in it. */
  content: z.enum(['mariadb-full', 'mariadb-incremental', 'configuration', 'dbroot', 'dbroot-files']),
  /** How to read it: what ends in age with `age -d -i KEY`; then `zstd -dc`, then `mbstream -x` or `tar x`; jsonl is one JSON object a line. */
  encoding: z.enum(['mbstream+zstd', 'tar+zstd', 'jsonl+zstd', 'mbstream+zstd+age', 'tar+zstd+age', 'jsonl+zstd+age']),
  /** Size of the file, bytes. */
  storedBytes: bytes,
  /** Digest of the file as stored. */
  sha256,
});

/** A stored file of another set's part, whose bytes this one needs. Always the set in which they lie: never one that only refers to them itself. */
const borrowedShard = shard.extend({
  /** The set. */
  set: name,
  /** Whose part of it. */
  node: name,
});

/** One configuration file in the configuration shard. */
const configurationFile = z.strictObject({
  path: absolutePath,
  bytes,
  /** Permission bits, octal, for example 0644. */
  mode: z.string().regex(/^[0-7]{4}$/),
  owner: z.string(),
  group: z.string(),
  mtime: z.iso.datetime(),
  sha256,
});

/** Where a server's binary log and replication stood under the lock. */
const position = z.strictObject({
  logBin: z.boolean(),
  /** Binary log file and offset in bytes; empty and 0 without binary log. */
  file: z.string(),
  offset: bytes,
  gtidBinlogPos: z.string(),
  gtidSlavePos: z.string(),
});

/** A server that this one replicated from. */
const replicationSource = z.strictObject({
  connectionName: z.string(),
  host: z.string(),
  port: z.number().int(),
  user: z.string(),
  usingGtid: z.string(),
});

const mariadb = z.strictObject({
  /** Version of the server. */
  version: z.string(),
  backupToolVersion: z.string(),
  serverId: z.number().int(),
  datadir: absolutePath,
  port: z.number().int(),
  position,
  sources: z.array(replicationSource),
  /** Log sequence numbers of the image, decimal: they do not fit a double. */
  fromLsn: z.string().regex(/^\d+$/),
  toLsn: z.string().regex(/^\d+$/),
  lastLsn: z.string().regex(/^\d+$/),
  /** Changes when the data directory is another one, as after a restore; absent when nothing tells it. */
  incarnation: z.string().optional(),
  /** Images of other sets that the part's own build upon, in order: the full one first. Absent when the part has that itself. */
  chain: z.array(borrowedShard).min(1).optional(),
  /** Shard that was copied before the cut, where there are two: the other one is an increment of it, taken at the cut. Neither is of use without the other. */
  base: name.optional(),
  /** Size of the server's files, bytes: what a restore needs at least. */
  dataBytes: bytes,
});

/** The image of one dbroot: all of it, at the cut. */
const dbroot = z.strictObject({
  /** Its number in the cluster: what identifies it. Module ids change, numbers stay. */
  number: z.number().int().min(1),
  /** Where it was. */
  path: absolutePath,
  files: z.number().int().nonnegative(),
  directories: z.number().int().nonnegative(),
  /** Bytes of the files: what a restore needs. */
  dataBytes: bytes,
  /**
   * Shards of content `dbroot` that hold it, each a whole tar archive of its own; paths in them are relative to the dbroot. The last one
   * ends with the directories and links: unpacked in order, directories get their times after everything in them.
   */
  shards: z.array(name).min(1),
  /**
   * True when the shards hold files besides those of the list: copied before the cut, and changed or gone at it. What lies in a later shard
   * then replaces what lies in an earlier one.
   */
  superseded: z.literal(true).optional(),
  /**
   * What of it lies in parts of other sets. Its files are in the list as all others are; indices of these shards follow those of `shards`.
   * They hold other files as well, and modes and times of files are those of the list, not of the archive.
   */
  borrowed: z
    .strictObject({
      /** Oldest first: of a file that lies in several, the last is the present one. */
      shards: z.array(borrowedShard).min(1),
      files: z.number().int().nonnegative(),
      /** Bytes of these files. */
      dataBytes: bytes,
    })
    .optional(),
  /** When the look at its files began, milliseconds since 1970, by the clock that stamps them: what was written shortly before may have changed since without another stamp. */
  lookedAtMs: z.number().int().optional(),
  /**
   * Names the boot of the host in which it was captured; absent where the kernel does not tell. What the list says of ctime and inode proves nothing in
   * another one: after a crash a file may have an old content under a new stamp, or the other way round.
   */
  bootId: z.string().optional(),
  /** Shard of content `dbroot-files` that lists every file, directory and link (see files.ts). */
  list: name,
});

/** The engine on this node, under the suspension. */
const columnstore = z.strictObject({
  /** Empty when nothing tells it. */
  version: z.string(),
  generation: z.enum(['oam', '1.4', '5', '22.08']),
  configFile: absolutePath,
  configRevision: z.number().int().nonnegative(),
  /** Id of the module that the node was, for people; nothing is keyed by it. */
  module: z.number().int().nonnegative(),
  /** True for the owner of dbroot 1, where the block resolution manager was saved. */
  primary: z.boolean(),
  /** Path prefix of the saved block resolution manager. */
  dbrmRoot: absolutePath,
  /** Which saved set is the current one: BRM_saves, BRM_savesA or BRM_savesB; empty but on the primary. */
  brmCurrent: z.union([z.literal(''), name]),
  /** user:group of the data. */
  owner: z.string(),
  dbroots: z.array(dbroot),
});

/** `CHECKSUM TABLE ... EXTENDED` of one table at exactly the cut. */
const tableChecksum = z.strictObject({
  database: z.string(),
  table: z.string(),
  engine: z.string(),
  /** Decimal; 0 for an empty table. */
  checksum: z.string().regex(/^\d+$/),
});

/** A table without a checksum, and why. */
const unprovenTable = z.strictObject({
  database: z.string(),
  table: z.string(),
  reason: z.string(),
  /** Its engine; those of ColumnStore are read whole after a restore, so all of them must be there then. */
  engine: z.string().optional(),
});

const manifest = z.strictObject({
  format: z.literal('stillpoint-part/1'),
  cluster: name,
  setId: name,
  node: name,
  operationId: name,
  createdAt: z.iso.datetime(),
  /** Version of Stillpoint that wrote it. */
  writtenBy: z.string(),
  hostname: z.string(),
  mariadb: mariadb.optional(),
  columnstore: columnstore.optional(),
  shards: z.array(shard),
  /** For whom the shards are encrypted; absent when they are not. Public keys, in the format of age. */
  encryption: z.strictObject({ recipients: z.array(z.string().regex(/^age1[0-9a-z]+$/)).min(1) }).optional(),
  configuration: z.array(configurationFile),
  checksums: z.array(tableChecksum),
  unproven: z.array(unprovenTable),
  /** How long things took on this node. */
  timings: z.strictObject({ lockWaitMs: milliseconds, blockedMs: milliseconds, captureMs: milliseconds }),
});

/** `part.json`: everything about one node's share of a set. What its dbroots name is among its shards. */
export const partManifestSchema = manifest.superRefine(({ columnstore: engine, encryption, mariadb: server, setId, shards }, context) => {
  const fault = imageFault({ mariadb: server, shards });
  if (fault !== undefined) context.addIssue({ code: 'custom', path: ['mariadb'], message: fault });
  const others = [...(server?.chain ?? []), ...(engine?.dbroots.flatMap(({ borrowed }) => borrowed?.shards ?? []) ?? [])];
  for (const { encoding, name: file, set } of others) {
    if (set !== setId && encoding.endsWith('+age') === (encryption !== undefined)) continue;
    context.addIssue({ code: 'custom', path: ['shards'], message: `${file} of set ${set} cannot be one that others share` });
  }
  // All or none: a file that lies open where the others are encrypted would be taken for one that needs no key.
  for (const [index, shard] of shards.entries()) {
    if (shard.encoding.endsWith('+age') === (encryption !== undefined)) continue;
    context.addIssue({ code: 'custom', path: ['shards', index], message: 'encrypted, or not, as no other is' });
  }
  const has = (shard: string, content: Shard['content']): boolean => shards.some((each) => each.name === shard && each.content === content);
  for (const [index, { list, ...dbroot }] of (engine?.dbroots ?? []).entries()) {
    const missing = [...dbroot.shards.filter((shard) => !has(shard, 'dbroot')), ...(has(list, 'dbroot-files') ? [] : [list])];
    for (const shard of missing) {
      context.addIssue({ code: 'custom', path: ['columnstore', 'dbroots', index], message: `${shard} is not among the shards` });
    }
    if (engine?.dbroots.findIndex(({ number }) => number === dbroot.number) !== index) {
      context.addIssue({ code: 'custom', path: ['columnstore', 'dbroots', index], message: `dbroot ${dbroot.number} is there twice` });
    }
  }
});

export type PartManifest = z.infer<typeof manifest>;
export type PartColumnstore = NonNullable<PartManifest['columnstore']>;
export type PartDbroot = PartColumnstore['dbroots'][number];
export type Shard = PartManifest['shards'][number];
export type BorrowedShard = z.infer<typeof borrowedShard>;
export type ConfigurationFile = PartManifest['configuration'][number];
export type TableChecksum = PartManifest['checksums'][number];
export type UnprovenTable = PartManifest['unproven'][number];
export type ManifestPosition = NonNullable<PartManifest['mariadb']>['position'];
