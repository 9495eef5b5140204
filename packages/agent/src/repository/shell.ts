import type { BorrowedShard, Shard } from '@stillpoint/shared/manifest';

/** One word of the shell. */
export const quote = (text: string): string => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A command line of an argument vector. */
export const command = (argv: readonly string[]): string => argv.map(quote).join(' ');

/** A stored file: by its name one of the part, or one of another set. */
type Stored = string | Shard | BorrowedShard;

/** Path of a stored file, below `$PART` or `$SETS`. */
export const pathOf = (stored: Stored): string =>
  typeof stored !== 'string' && 'set' in stored
    ? `"$SETS"/${quote(`${stored.set}/${stored.node}/${stored.name}`)}`
    : `"$PART"/${quote(nameOf(stored))}`;

const nameOf = (stored: Stored): string => (typeof stored === 'string' ? stored : stored.name);

/** Commands that give what a stored file holds, decompressed. One that is encrypted is opened with the identity in `$KEY`. */
export const contentOf = (stored: Stored): string =>
  nameOf(stored).endsWith('.age') ? `age -d -i "$KEY" ${pathOf(stored)} | zstd -dc` : `zstd -dc ${pathOf(stored)}`;
