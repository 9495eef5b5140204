/** Bytes that are looked at of a block, in even distances. */
const SAMPLES = 4096;
/**
 * Bits a byte, of 8: random bytes in such a number give 7.95 on average, and never less than 7.9; text and numbers of a column are far below, and
 * so is what the engine compresses fast but not well.
 */
const DENSE_BITS = 7.9;

/** How many bits the bytes of a block hold, each for itself. */
export class ByteStatistics {
  readonly #counts = new Uint16Array(256);

  /** Whether the bytes are as evenly spread as random ones. Looks at a few thousand of them. */
  isDense(block: Uint8Array): boolean {
    const counts = this.#counts.fill(0);
    // Odd: else only one byte of every number of a column would be seen.
    const step = Math.floor(block.length / SAMPLES) | 1;
    let looked = 0;
    for (let at = 0; at < block.length && looked < SAMPLES; at += step) {
      const byte = block[at] ?? 0;
      counts[byte] = (counts[byte] ?? 0) + 1;
      looked += 1;
    }
    let bits = 0;
    for (const count of counts) if (count > 0) bits += count * Math.log2(looked / count);
    return bits / looked >= DENSE_BITS;
  }
}
