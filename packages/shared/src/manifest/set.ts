import { z } from 'zod';
import { NAME_PATTERN } from '../operation/index.ts';

const name = z.string().regex(NAME_PATTERN);

/** One node's share of a set, as the commit knows it. */
const member = z.strictObject({
  node: name,
  roles: z.array(z.enum(['sql', 'pm', 'primary'])),
  /** Digest of that node's part.json. */
  partSha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Bytes stored in the part. */
  storedBytes: z.number().int().nonnegative(),
  /** Bytes of the files of other sets' parts that this one needs besides; absent when it needs none. */
  borrowedBytes: z.number().int().nonnegative().optional(),
  /** Bytes of the server's files. */
  dataBytes: z.number().int().nonnegative(),
  /** Server version; empty on a node without one. */
  mariadbVersion: z.string(),
  /** @@gtid_binlog_pos under the lock; empty without binary log. */
  gtidBinlogPos: z.string(),
  /** @@gtid_slave_pos under the lock; empty on a server that replicates from nobody. */
  gtidSlavePos: z.string(),
  /** Node that this one replicated from; empty for none or for a source outside of the cluster. */
  source: z.string(),
  /** Numbers of the dbroots in the part. */
  dbroots: z.array(z.number().int().min(1)).default([]),
  /** Tables with a checksum. */
  provenTables: z.number().int().nonnegative(),
  /** Writers' wait on this node: from asking for the lock to giving it back. */
  blockedMs: z.number().nonnegative(),
  /** What a client felt that wrote one row every few milliseconds on this node; absent where none did. */
  probe: z
    .strictObject({
      /** Its longest write, from asking to done. */
      longestMs: z.number().nonnegative(),
      /** Writes in all, before, inside and after the still point. */
      writes: z.number().int().nonnegative(),
    })
    .optional(),
  /** How long each phase took on this node, in order, as the controller saw it. */
  phases: z.array(z.strictObject({ phase: z.string(), ms: z.number().nonnegative() })).default([]),
});

/** `set.json`: the commit. The same bytes lie on every node of the set. */
export const setManifestSchema = z.strictObject({
  format: z.literal('stillpoint-set/1'),
  cluster: name,
  setId: name,
  operationId: name,
  /** When the last hold was granted, on the controller's clock: the cut lies between this and `releasedAt`. */
  cutAt: z.iso.datetime(),
  /** When the first hold was released. */
  releasedAt: z.iso.datetime(),
  committedAt: z.iso.datetime(),
  writtenBy: z.string(),
  /** Time between the first and the last lock granted, by the controller's clock. */
  holdSkewMs: z.number().nonnegative(),
  /** Length of each phase, in order, by the controller's clock. */
  phases: z.array(
    z.strictObject({
      phase: z.string(),
      ms: z.number().nonnegative(),
      /** True while writers waited. */
      blocksWriters: z.boolean().default(false),
    }),
  ),
  members: z.array(member).min(1),
  /** The set that this one was made as an increment of; absent for a full one. */
  parent: name.optional(),
  /** Every other set that holds bytes which this one needs, not only its parent: none may be removed before this one. */
  uses: z.array(name).default([]),
  /** The engine, as its primary had it; absent without ColumnStore. */
  columnstore: z
    .strictObject({
      version: z.string(),
      generation: z.enum(['oam', '1.4', '5', '22.08']),
      configRevision: z.number().int().nonnegative(),
      /** Node that owned dbroot 1. */
      primary: name,
    })
    .optional(),
});

export type SetManifest = z.infer<typeof setManifestSchema>;
export type SetMember = SetManifest['members'][number];
export type MemberRole = SetMember['roles'][number];
