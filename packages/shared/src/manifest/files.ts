import { z } from 'zod';
import { isPlainPath } from './listed.ts';

const relativePath = z.string().refine(isPlainPath, 'not a plain relative path');
const common = {
  path: relativePath,
  /** Permission bits, octal, for example 0644. */
  mode: z.string().regex(/^[0-7]{4}$/),
  /** user:group, by name where they have one. */
  owner: z.string(),
  /** Nanoseconds since 1970, decimal: they do not fit a double. */
  mtimeNs: z.string().regex(/^-?\d+$/),
};

/**
 * One line of a dbroot's list: directories before what lies in them, and the files of one shard in the order in which they lie in it. A
 * file tells where its bytes lie: every frame of a shard can be decompressed alone, and the file's content begins `at` bytes into it.
 */
export const listedEntrySchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('directory'), ...common }),
  z.strictObject({ type: z.literal('link'), ...common, target: z.string() }),
  z.strictObject({
    type: z.literal('file'),
    ...common,
    size: z.number().int().nonnegative(),
    /** Of its content. */
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    /** What its file system said when it was read: as long as all of it and size and time are the same, so is the content. Decimal. */
    ctimeNs: z
      .string()
      .regex(/^-?\d+$/)
      .optional(),
    inode: z.string().regex(/^\d+$/).optional(),
    /** Index into the dbroot's `shards`, and behind them into those that it borrows. */
    shard: z.number().int().nonnegative(),
    /** Where in that shard the frame begins that holds it, and how long the frame is; bytes as stored, but before the shard is encrypted. */
    frame: z.number().int().nonnegative(),
    frameBytes: z.number().int().positive(),
    /** Where its content begins in the decompressed frame, behind its tar header. */
    at: z.number().int().nonnegative(),
  }),
]);

export type ListedEntry = z.infer<typeof listedEntrySchema>;
export type ListedFile = Extract<ListedEntry, { type: 'file' }>;
