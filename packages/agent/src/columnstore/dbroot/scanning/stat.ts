import type { BigIntStats } from 'node:fs';

/** What tells that a file was changed, as numbers: no text is made of what nobody is told. Used again and again. */
export class StatWords {
  readonly #numbers = new BigInt64Array(4);
  /** Eight halves of the numbers: size, mtime, ctime and inode. */
  readonly halves = new Int32Array(this.#numbers.buffer);

  set({ ctimeNs, ino, mtimeNs, size }: BigIntStats): this {
    this.#numbers[0] = size;
    this.#numbers[1] = mtimeNs;
    this.#numbers[2] = ctimeNs;
    this.#numbers[3] = ino;
    return this;
  }
}
