import { Damaged } from '../archive/damaged.ts';

const FIRST_LINE = 'age-encryption.org/v1\n';
/** Before the line that ends a header. */
const LAST_LINE = Buffer.from('\n--- ');
/** A recipient takes about 150 bytes; what is longer is no header of ours. */
const LONGEST = 64 * 1024;

/**
 * Length of the header at the beginning of an age file, without the nonce; undefined when more bytes are needed to tell.
 * Throws Damaged when it is none.
 */
export function headerBytes(beginning: Buffer): number | undefined {
  const first = beginning.toString('latin1', 0, FIRST_LINE.length);
  if (!FIRST_LINE.startsWith(first)) throw new Damaged('it does not begin as an age file does');
  const last = beginning.indexOf(LAST_LINE);
  const end = last < 0 ? -1 : beginning.indexOf('\n', last + LAST_LINE.length);
  if (end >= 0) return end + 1;
  if (beginning.length > LONGEST) throw new Damaged('its header, which says for whom it is encrypted, has no end');
  return undefined;
}
