import { join } from 'node:path';
import type { Shard } from '@stillpoint/shared/manifest';
import type { StoredFile } from '../../../archive/index.ts';
import { fileKeyFor } from '../../../encryption/index.ts';
import { linesName, notUsed, type PrecopiedRecord, removePrecopied, usedAgain, writeRecord } from '../../../precopied/index.ts';
import { depthFirst } from '../depth-first.ts';
import type { CapturedDbroot } from '../described.ts';
import type { ScannedEntry } from '../entry.ts';
import { ofParent } from '../increment/begin.ts';
import type { ParentDbroot } from '../increment/parent-dbroot.ts';
import { entryOfLine } from '../line.ts';
import { LinesFile } from '../lines-file.ts';
import { namedShard } from '../packing/names.ts';
import { restlessFiles } from '../rules.ts';
import type { FileToTake, Found, TakenFile } from '../scanning/orders.ts';
import { ScanThreads } from '../scanning/scan-threads.ts';
import { linesIn, requireUnmovedSince } from '../scanning/unmoved.ts';
import type { DbrootToCapture, DbrootWork, StagedDbroot } from '../staged.ts';
import { unitsOf } from '../units.ts';
import { newBlockSeed } from './blocks.ts';
import { linesOfParent } from './borrowed-lines.ts';
import { completeImage } from './complete.ts';
import { fillShards } from './fill.ts';
import { sortOut } from './sort-out.ts';
import { StoredFiles } from './stored-files.ts';
import { areLinesGood, verifiedShards } from './take-over.ts';

/** A shard that was written. */
export type StoredShard = StoredFile & Pick<Shard, 'name' | 'encoding'>;

/** What was seen and taken inside the still point. */
interface Taken {
  readonly lookedAtMs: number;
  readonly found: Found;
  readonly files: readonly TakenFile[];
  /** Directories and links. */
  readonly plain: LinesFile;
}

/** Passes over 8 bits of a mark would be taken for earlier ones. */
const MOST_LOOKS = 250;

/**
 * A dbroot that is copied while clients write, and whose changes since are taken inside the still point. What tells that a file has changed is its
 * stamp: taken before it is read, it is compared with the one inside the still point. To be discarded on every path.
 */
export class DbrootPrecopy implements StagedDbroot {
  readonly #options: DbrootToCapture;
  readonly #restless: ReadonlySet<string>;
  readonly #scans: ScanThreads;
  #stored: StoredFiles;
  readonly #shards: StoredShard[] = [];
  readonly #scratch: string;
  readonly #seed = newBlockSeed();
  /** Whose files need not be stored again. */
  #parent: ParentDbroot | undefined;
  #isParentRead = false;
  /** What an interrupted backup has left, as long as it was not looked through. */
  #before: PrecopiedRecord | undefined;
  /** Whether the part has a record of the shards: then the lines belong to it. */
  #isRecorded: boolean;
  #looks = 0;
  #taken: Taken | undefined;

  private constructor(options: DbrootToCapture, stored: StoredFiles) {
    const { brmDirectory, number, part, root, threads } = options;
    this.#options = options;
    this.#restless = restlessFiles(brmDirectory);
    this.#stored = stored;
    this.#before = options.before;
    this.#isRecorded = options.before !== undefined;
    this.#scratch = join(part, `.dbroot${number}`);
    this.#scans = new ScanThreads({ root, threads, restless: this.#restless, takeInto: `${this.#scratch}.taken`, seed: this.#seed });
  }

  /** Begins, in a part in which nothing of the dbroot lies yet but what an interrupted backup has left. Throws the system's error. */
  static async begin(options: DbrootToCapture, note: DbrootWork['note'] = () => {}): Promise<DbrootPrecopy> {
    const { before, number, part } = options;
    const path = join(part, linesName(number));
    if (before === undefined) return new DbrootPrecopy(options, await StoredFiles.create(path));
    if (await areLinesGood(path, before)) return new DbrootPrecopy(options, await StoredFiles.resume(path, before.lines));
    note(notUsed(before, 'what it has written down of them is damaged'));
    await removePrecopied(part, [before]);
    return DbrootPrecopy.begin({ ...options, before: undefined });
  }

  /**
   * Copies what has changed since the pass before, and says what has changed again by then. Whatever comes, goes or changes meanwhile is left to
   * the next pass or the still point. With a parent, the first pass copies what has changed since that. Throws CAPTURE_FAILED, DISK_FULL, the system's
   * error or the signal's reason.
   */
  async precopy({ signal, onBytes, onFound, note }: DbrootWork): Promise<{ readonly bytes: number; readonly changedBytes: number }> {
    await this.#takeOver({ signal, onBytes, note });
    await this.#readParent(note, signal);
    let bytes = 0;
    const counted = (some: number): void => {
      bytes += some;
      onBytes(some);
    };
    const differing = await LinesFile.create(`${this.#scratch}.pass.${this.#looks}`);
    const toStore = await LinesFile.create(`${this.#scratch}.store.${this.#looks}`);
    try {
      const found = await this.#look(signal, true, note, ({ lines }) => differing.addBytes(lines));
      onFound(found.differingBytes);
      const { root, shards: threads } = this.#options;
      const sorted = await sortOut({
        ...{ root, differing, toStore, threads, signal, restless: this.#restless, stored: this.#stored, onBytes: counted },
      });
      this.#stored.makeRoom(sorted.files);
      const isFirst = this.#shards.length === 0 && this.#parent === undefined;
      if (sorted.bytes > 0 || isFirst) await this.#fill(toStore, sorted.bytes, signal, counted);
    } finally {
      await Promise.all([differing.remove(), toStore.remove()]);
    }
    const after = await this.#look(signal, true, () => {}, undefined);
    return { bytes, changedBytes: after.differingBytes };
  }

  /**
   * Inside the still point: looks at everything, takes what is not as it was when it was copied, and looks once more that nothing has moved. Throws
   * CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL, the system's error or the signal's reason.
   */
  async take({ signal, onBytes, onFound, note }: DbrootWork): Promise<void> {
    if (this.#before !== undefined) await this.#leave(this.#before, 'it was not looked through before the still point', note);
    await this.#readParent(note, signal);
    const lookedAtMs = Date.now();
    const plain = await LinesFile.create(`${this.#scratch}.plain`);
    const changed: ScannedEntry[] = [];
    const found = await this.#look(signal, false, note, async ({ lines, plain: some }) => {
      for (const line of linesIn(lines)) changed.push(entryOfLine(line));
      await plain.addBytes(some);
    });
    await plain.close();
    onFound(found.differingBytes);
    const files: TakenFile[] = [];
    const add = (some: readonly TakenFile[]): void => {
      for (const each of some) {
        files.push(each);
        onBytes(each.entry.size);
      }
    };
    await this.#scans.take(batchesOf(changed, this.#stored), add, signal);
    await requireUnmovedSince(found, this.#scans, this.#options.path, signal);
    this.#taken = { lookedAtMs, found, files, plain };
    // Their memory and files of names are needed no more, and ending them takes a while: writers do not wait for it.
    void this.#scans.end();
  }

  /** After the still point: packs what was taken, and writes the list. Throws CAPTURE_FAILED, DISK_FULL, the system's error or the signal's reason. */
  async finish({ signal, onBytes, onFound }: DbrootWork): Promise<CapturedDbroot> {
    if (this.#taken === undefined) throw new Error('an image is finished that was not taken');
    await this.#scans.end();
    const { found, files, lookedAtMs } = this.#taken;
    const plain = await depthFirst(entriesOf(this.#taken.plain), `${this.#scratch}.order`);
    onFound(files.reduce((sum, { entry: { size } }) => sum + size, 0));
    const image = await completeImage({
      ...this.#options,
      ...{ signal, onBytes, lookedAtMs, found, files, plain, scratch: this.#scratch },
      ...{ base: this.#shards, stored: this.#stored, seen: this.#looks, parent: this.#parent },
    });
    await Promise.all([plain.remove(), this.#taken.plain.remove(), this.#letGo()]);
    return image;
  }

  /** Ends what still runs. What lies in the part is the caller's to remove. Repeatable, never throws. */
  async discard(): Promise<void> {
    await this.#scans.end();
    await Promise.allSettled([this.#letGo(), this.#taken?.plain.remove()]);
  }

  /** Lines that a record is about stay with it. */
  #letGo(): Promise<void> {
    return this.#isRecorded ? this.#stored.close() : this.#stored.remove();
  }

  /** Goes on with what an interrupted backup has left, if there is something and it is whole. */
  async #takeOver({ note, onBytes, signal }: Pick<DbrootWork, 'note' | 'onBytes' | 'signal'>): Promise<void> {
    const before = this.#before;
    if (before === undefined) return;
    const found = await verifiedShards(before, { ...this.#options, onBytes, signal });
    if ('fault' in found) return this.#leave(before, found.fault, note);
    this.#shards.push(...found.shards);
    this.#before = undefined;
    note(usedAgain(before));
  }

  async #leave(before: PrecopiedRecord, why: string, note: DbrootWork['note']): Promise<void> {
    note(notUsed(before, why));
    await removePrecopied(this.#options.part, [before]);
    this.#stored = await this.#stored.anew();
    this.#isRecorded = false;
    this.#before = undefined;
  }

  /** From now on a crash leaves something to go on with. */
  async #record(): Promise<void> {
    const { origin, part } = this.#options;
    if (origin === undefined) return;
    const shards = this.#shards.map(({ bytes, name, sha256 }) => ({ name, bytes, sha256 }));
    const parentSet = this.#parent?.setId ?? '';
    await writeRecord(part, { ...origin, parentSet, shards, lines: await this.#stored.written() });
    this.#isRecorded = true;
  }

  /** Learns what the parent has, if there is one: that is stored already. */
  async #readParent(note: DbrootWork['note'], signal: AbortSignal): Promise<void> {
    if (this.#isParentRead) return;
    this.#parent = await ofParent(this.#options, note, async (parent) => {
      // What is gone on with has its files already.
      if (!this.#isRecorded) await this.#stored.seed(linesOfParent(parent, this.#restless, signal), parent.files);
      return parent;
    });
    // What was read before it turned out to be damaged is not to be believed either.
    if (this.#options.parent !== undefined && this.#parent === undefined) this.#stored = await this.#stored.anew();
    this.#isParentRead = true;
  }

  /** Looks at everything, and compares it with what is stored. */
  async #look(
    signal: AbortSignal,
    isAlive: boolean,
    note: (message: string) => void,
    onAnswer: ((answer: { readonly lines: Uint8Array; readonly plain: Uint8Array }) => Promise<void>) | undefined,
  ): Promise<Found> {
    this.#looks = (this.#looks % MOST_LOOKS) + 1;
    return this.#scans.scan({
      ...{ isAlive, signal, tell: onAnswer === undefined ? 'nothing' : 'differing' },
      stamps: { memory: this.#stored.stamps, seen: this.#looks },
      onAnswer: async (answer) => {
        for (const sentence of answer.notes) note(sentence);
        await onAnswer?.(answer);
      },
    });
  }

  async #fill(toStore: LinesFile, toStoreBytes: number, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<void> {
    const { level, part, recipients, root } = this.#options;
    const names = Array.from({ length: toStoreBytes < FEW_BYTES ? 1 : this.#options.shards }, (_, index) =>
      namedShard(this.#options, this.#shards.length + index),
    );
    const shards = await Promise.all(
      names.map(async ({ name }, index) => ({
        ...{ path: join(part, name), index: this.#shards.length + index, level, root, seed: this.#seed },
        key: await fileKeyFor(recipients),
      })),
    );
    for (const { key, path } of shards) if (key !== undefined) this.#stored.keepKey(path, key);
    const units = unitsOf(entriesOf(toStore), new Set());
    const archives = await fillShards({ shards, units, onFilled: (files) => this.#stored.add(files), onBytes, signal });
    for (const [index, name] of names.entries()) this.#shards.push({ ...name, ...(archives[index] ?? { bytes: 0, sha256: '' }) });
    await this.#record();
  }
}

/** With less, more than one shard takes longer than it saves. */
const FEW_BYTES = 32 * 1024 * 1024;

async function* entriesOf(file: LinesFile): AsyncGenerator<ScannedEntry> {
  for await (const line of file.lines()) yield entryOfLine(line);
}

/** Files of a batch at most, and bytes. */
const MOST_FILES = 64;
const MOST_BYTES = 4 * 1024 * 1024;

/** Large files first: whoever comes last has little to do. */
function* batchesOf(changed: ScannedEntry[], stored: StoredFiles): Generator<readonly FileToTake[]> {
  let batch: FileToTake[] = [];
  let bytes = 0;
  for (const entry of changed.sort((one, other) => other.size - one.size)) {
    batch.push(stored.toTake(entry));
    bytes += entry.size;
    if (bytes < MOST_BYTES && batch.length < MOST_FILES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}
