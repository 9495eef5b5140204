import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { fullText, isFullCode } from '../../../archive/stored.ts';
import { BLOCK_BYTES } from '../../../archive/write.ts';
import { ThreadFailure } from '../../../thread/failure.ts';
import { entryOf, type ScannedEntry, stampOf } from '../entry.ts';
import { movedText, reading } from '../failure-text.ts';
import { FLAGS, fill, readAtRest } from '../read-file.ts';
import type { Basis, FileToTake, ScannedRoot, TakenFile, TakeOrder } from '../scanning/orders.ts';
import { type BlockDigest, blocksOf, DIGEST_BYTES } from './blocks.ts';

/** Raw, whether the part is encrypted or not: for nobody else, also not the group, which may read the part. */
const RAW_MODE = 0o600;

/**
 * On a thread, inside the still point: content of files, put into one file one behind the other. Neither hashed nor compressed: writers wait.
 * All throws are ThreadFailures (CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL) or errors of the system.
 */
export class TakenFiles {
  readonly #from: ScannedRoot;
  readonly #digest: BlockDigest | undefined;
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #into: number | undefined;
  #end = 0;

  /** Without digests there are no files with a basis. */
  constructor(from: ScannedRoot, digest: BlockDigest | undefined) {
    this.#from = from;
    this.#digest = digest;
  }

  take({ files }: TakeOrder): TakenFile[] {
    this.#into ??= openSync(this.#from.takeInto, 'wx', RAW_MODE);
    return files.map((file) => this.#takeOne(file));
  }

  #takeOne({ entry, basis }: FileToTake): TakenFile {
    const path = `${this.#from.root}/${entry.path}`;
    const [file, at] = [this.#from.takeInto, this.#end];
    if (this.#from.restless.has(entry.path)) {
      const { entry: now, content } = readAtRest(path, entry);
      this.#write(content);
      // Its stamp is that of the look at all files: it may be written again.
      return { entry: { ...entry, size: content.length, mode: now.mode, mtimeNs: now.mtimeNs }, file, at };
    }
    const blocks = reading(path, () => this.#copy(path, entry, basis));
    return { entry, file, at, ...(basis === undefined ? {} : { blocks }) };
  }

  /** Gives the blocks that were not the same. */
  #copy(path: string, entry: ScannedEntry, basis: Basis | undefined): number[] {
    const from = openSync(path, FLAGS);
    try {
      requireSame(from, path, entry);
      const taken: number[] = [];
      for (const [index, { start, bytes }] of blocksOf(entry.size, basis?.first ?? BLOCK_BYTES, BLOCK_BYTES).entries()) {
        const block = this.#block.subarray(0, bytes);
        if (fill(from, block, start) < bytes) throw new ThreadFailure(movedText(path, 'became shorter'));
        if (basis !== undefined && this.#isSame(basis, index, block)) continue;
        this.#write(block);
        taken.push(index);
      }
      requireSame(from, path, entry);
      return taken;
    } finally {
      closeSync(from);
    }
  }

  /** A block that was shorter when it was stored has another digest. */
  #isSame({ digests }: Basis, index: number, block: Uint8Array): boolean {
    if (this.#digest === undefined) throw new Error('a thread that has no digests cannot compare blocks');
    const known = digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
    return known.length === DIGEST_BYTES && Buffer.compare(this.#digest(block), known) === 0;
  }

  #write(data: Uint8Array): void {
    const { takeInto } = this.#from;
    try {
      for (let at = 0; at < data.length; ) at += writeSync(this.#into ?? -1, data, at, data.length - at);
    } catch (error) {
      if (!isFullCode((error as NodeJS.ErrnoException).code)) throw error;
      throw new ThreadFailure({ code: 'DISK_FULL', message: fullText(takeInto, this.#end) });
    }
    this.#end += data.length;
  }
}

function requireSame(file: number, path: string, entry: ScannedEntry): void {
  if (stampOf(entryOf('file', entry.path, fstatSync(file, { bigint: true }))) !== stampOf(entry))
    throw new ThreadFailure(movedText(path, 'changed'));
}
