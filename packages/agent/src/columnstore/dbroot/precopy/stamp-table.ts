import { randomInt } from 'node:crypto';
import type { ListedFile } from '@stillpoint/shared/manifest';
import type { ScannedEntry } from '../entry.ts';

/** The memory of a table: shared, so that several threads can look at it. */
export interface TableMemory {
  readonly capacity: number;
  readonly seed: number;
  readonly shared: SharedArrayBuffer;
}

/** The stamp of a file. */
export type FileStamp = Pick<ScannedEntry, 'path' | 'size' | 'mtimeNs' | 'ctimeNs' | 'inode'>;

/** No file was ever changed then: what is on record under this time is the stamp of none. */
const NO_CTIME = String(-(2n ** 63n));

/** A restore sets times to less than this, nanoseconds: the system takes them as numbers of seconds that are not whole. */
const RESTORED_WITHIN_NS = 1_000n;

/** Of one slot: four times 8 bytes of stamp, a key of 8, the number of a line, and a mark. */
const SLOT_BYTES = 8 + 8 + 8 + 8 + 4 + 4 + 4 + 1;
/** Slots to an entry: fuller, it takes long to find one. */
const SPACE = 1.4;
const LEAST_ENTRIES = 4096;

/** Room for so many entries. Some 63 bytes each: what a million files take must not grow with the length of their names. */
export function tableMemory(entries: number, seed = randomInt(2 ** 32)): TableMemory {
  const capacity = Math.ceil(Math.max(entries, LEAST_ENTRIES) * SPACE);
  return { capacity, seed, shared: new SharedArrayBuffer(capacity * SLOT_BYTES) };
}

/**
 * Stamps of files, by path, with the number of the line that tells where the content of each lies. Paths are known by 64 bits of a hash with a
 * seed of its own; two that are taken for one show in the end, by a file that is missing in the list.
 */
export class StampTable {
  /** Slots in use. */
  used = 0;
  readonly memory: TableMemory;
  readonly #size: Float64Array;
  readonly #mtime: BigInt64Array;
  readonly #ctime: BigInt64Array;
  readonly #inode: BigUint64Array;
  /** Of size, mtime, ctime and inode: no object is made of what is only compared. */
  readonly #halves: Int32Array;
  readonly #low: Uint32Array;
  readonly #high: Uint32Array;
  readonly #line: Uint32Array;
  readonly #seen: Uint8Array;
  readonly #key = { low: 0, high: 0 };

  constructor(memory: TableMemory) {
    const { capacity: c, shared } = memory;
    this.memory = memory;
    this.#size = new Float64Array(shared, 0, c);
    this.#mtime = new BigInt64Array(shared, 8 * c, c);
    this.#ctime = new BigInt64Array(shared, 16 * c, c);
    this.#inode = new BigUint64Array(shared, 24 * c, c);
    this.#halves = new Int32Array(shared, 0, 8 * c);
    this.#low = new Uint32Array(shared, 32 * c, c);
    this.#high = new Uint32Array(shared, 36 * c, c);
    this.#line = new Uint32Array(shared, 40 * c, c);
    this.#seen = new Uint8Array(shared, 44 * c, c);
  }

  /** Marks a file as seen, and says whether its stamp is the one on record, and may be trusted. */
  isSame({ path, size, mtimeNs, ctimeNs, inode }: FileStamp, seen: number): boolean {
    const slot = this.#find(path);
    if (slot < 0) return false;
    this.#seen[slot] = seen;
    return (
      this.#line[slot] !== 0 &&
      this.#size[slot] === size &&
      this.#ctime[slot] === BigInt(ctimeNs) &&
      this.#mtime[slot] === BigInt(mtimeNs) &&
      this.#inode[slot] === BigInt.asUintN(64, BigInt(inode))
    );
  }

  /** The same of numbers: `halves` are those of size, mtime, ctime and inode, 32 bits each. */
  isSameStat(path: string, size: number, halves: Int32Array, seen: number): boolean {
    const slot = this.#find(path);
    if (slot < 0) return false;
    this.#seen[slot] = seen;
    if (this.#line[slot] === 0 || this.#size[slot] !== size) return false;
    const { capacity } = this.memory;
    for (let at = 1; at <= 3; at += 1) {
      const number = 2 * (at * capacity + slot);
      if (this.#halves[number] !== halves[2 * at] || this.#halves[number + 1] !== halves[2 * at + 1]) return false;
    }
    return true;
  }

  /** Keeps the stamp that a file had before it was read. Line 0: its content must be taken again. */
  record({ path, size, mtimeNs, ctimeNs, inode }: FileStamp, line: number): void {
    const slot = this.#place(path);
    this.#size[slot] = size;
    this.#mtime[slot] = BigInt(mtimeNs);
    this.#ctime[slot] = BigInt(ctimeNs);
    this.#inode[slot] = BigInt.asUintN(64, BigInt(inode));
    this.#line[slot] = line;
  }

  /** Keeps a file of a list with the stamp that its line has, if it has one: otherwise it is known by size and time alone. */
  recordListed(file: ListedFile, line: number): void {
    const { ctimeNs, inode, mtimeNs, path, size } = file;
    const isStamped = ctimeNs !== undefined && inode !== undefined;
    this.record({ path, size, mtimeNs, ...(isStamped ? { ctimeNs, inode } : { ctimeNs: NO_CTIME, inode: '0' }) }, line);
  }

  /** From now on its content must be taken again. */
  forget(path: string): void {
    const slot = this.#find(path);
    if (slot >= 0) this.#line[slot] = 0;
  }

  /** Number of the line that is good for a path, if the file was seen by that look; else 0. */
  lineOf(path: string, seen: number): number {
    const slot = this.#find(path);
    return slot < 0 || this.#seen[slot] !== seen ? 0 : (this.#line[slot] ?? 0);
  }

  /** Number of the line of a file on record that may be this one with another stamp: the same size, and the same time as far as a restore keeps it. 0 for none. */
  lineLike({ path, size, mtimeNs }: Pick<FileStamp, 'path' | 'size' | 'mtimeNs'>): number {
    const slot = this.#find(path);
    if (slot < 0 || this.#size[slot] !== size) return 0;
    const apart = BigInt(mtimeNs) - (this.#mtime[slot] ?? 0n);
    return apart < RESTORED_WITHIN_NS && -apart < RESTORED_WITHIN_NS ? (this.#line[slot] ?? 0) : 0;
  }

  /** The stamp on record of a file, which is there. */
  stampOf(path: string): Pick<FileStamp, 'mtimeNs' | 'ctimeNs' | 'inode'> {
    const slot = this.#find(path);
    return { mtimeNs: String(this.#mtime[slot]), ctimeNs: String(this.#ctime[slot]), inode: String(this.#inode[slot]) };
  }

  /** Calls `use` for each file that a look has seen, with the number of its line and its size, in no order. */
  eachSeen(seen: number, use: (line: number, size: number) => void): void {
    for (let slot = 0; slot < this.memory.capacity; slot += 1)
      if (this.#seen[slot] === seen && this.#line[slot] !== 0) use(this.#line[slot] ?? 0, this.#size[slot] ?? 0);
  }

  /** A table with room for so many more entries: this one, or a larger one with the same content. */
  withRoomFor(more: number): StampTable {
    const { capacity, seed } = this.memory;
    if ((this.used + more) * SPACE <= capacity) return this;
    const larger = new StampTable(tableMemory(this.used + more, seed));
    for (let slot = 0; slot < capacity; slot += 1) if (this.#isUsed(slot)) larger.#takeFrom(this, slot);
    return larger;
  }

  #takeFrom(other: StampTable, from: number): void {
    const slot = this.#slotOf(other.#low[from] ?? 0, other.#high[from] ?? 0);
    this.#low[slot] = other.#low[from] ?? 0;
    this.#high[slot] = other.#high[from] ?? 0;
    this.#size[slot] = other.#size[from] ?? 0;
    this.#mtime[slot] = other.#mtime[from] ?? 0n;
    this.#ctime[slot] = other.#ctime[from] ?? 0n;
    this.#inode[slot] = other.#inode[from] ?? 0n;
    this.#line[slot] = other.#line[from] ?? 0;
    this.used += 1;
  }

  #isUsed(slot: number): boolean {
    return this.#low[slot] !== 0 || this.#high[slot] !== 0;
  }

  #place(path: string): number {
    this.#hash(path);
    const { low, high } = this.#key;
    const slot = this.#slotOf(low, high);
    if (this.#isUsed(slot)) return slot;
    if (this.used >= this.memory.capacity - 1) throw new Error('a table of stamps is full');
    this.#low[slot] = low;
    this.#high[slot] = high;
    this.used += 1;
    return slot;
  }

  #find(path: string): number {
    this.#hash(path);
    const slot = this.#slotOf(this.#key.low, this.#key.high);
    return this.#isUsed(slot) ? slot : -1;
  }

  /** The slot of a key, or the free one where it belongs. */
  #slotOf(low: number, high: number): number {
    const { capacity } = this.memory;
    let slot = low % capacity;
    while (this.#isUsed(slot) && (this.#low[slot] !== low || this.#high[slot] !== high)) slot = slot + 1 === capacity ? 0 : slot + 1;
    return slot;
  }

  /** Two chains of multiplications, mixed at the end; never 0, which is a free slot. */
  #hash(path: string): void {
    let one = this.memory.seed ^ 0x9e3779b9;
    let two = this.memory.seed ^ 0x85ebca6b;
    for (let at = 0; at < path.length; at += 1) {
      const code = path.charCodeAt(at);
      one = Math.imul(one ^ code, 0x9e3779b1);
      two = Math.imul(two ^ code, 0x5f356495);
    }
    const low = Math.imul(one ^ (one >>> 16), 0x85ebca6b) ^ Math.imul(two ^ (two >>> 13), 0xc2b2ae35);
    const high = Math.imul(two ^ (two >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35);
    this.#key.low = low >>> 0 || 1;
    this.#key.high = high >>> 0;
  }
}
