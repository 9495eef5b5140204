import type { ScannedEntry } from '../entry.ts';
import { lineOf } from '../line.ts';
import { StampTable } from '../precopy/stamp-table.ts';
import { cloneEntry } from '../reflink/clone.ts';
import { digestOf, lookAt, namesIn } from './look.ts';
import type { Found, ScanAnswer, ScannedRoot, ScanOrder } from './orders.ts';

/** Entries looked at before the rest is given back: others may have nothing to do. */
const AT_ONCE = 1024;

/** On a thread: looks into directories, and into those that it finds in them, for a while. Throws CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL. */
export function scan({ root, restless }: ScannedRoot, order: ScanOrder): ScanAnswer {
  const { cloneTo, isAlive } = order;
  const rest = [...order.directories];
  const notes: string[] = [];
  const tally = new Tally(order);
  while (tally.entries < AT_ONCE) {
    const directory = rest.pop();
    if (directory === undefined) break;
    const entries: ScannedEntry[] = [];
    for (const name of namesIn(directory === '' ? root : `${root}/${directory}`, isAlive)) {
      const path = directory === '' ? name : `${directory}/${name}`;
      const seen = lookAt(root, path, isAlive, (sentence) => notes.push(sentence));
      if (seen === undefined) continue;
      const entry = cloneTo === undefined ? seen : cloneEntry(root, cloneTo, seen, restless);
      entries.push(entry);
      if (entry.type === 'directory') rest.push(path);
      tally.add(entry);
    }
    tally.digest = BigInt.asUintN(64, tally.digest + digestOf(entries, restless));
  }
  return { rest, notes, ...tally.told() };
}

/** What one order has found. */
class Tally implements Found {
  files = 0;
  directories = 0;
  links = 0;
  bytes = 0;
  differingBytes = 0;
  digest = 0n;
  readonly #tell: ScanOrder['tell'];
  readonly #stamps: { readonly table: StampTable; readonly seen: number } | undefined;
  readonly #lines: string[] = [];
  readonly #plain: string[] = [];

  constructor({ tell, stamps }: ScanOrder) {
    this.#tell = tell;
    this.#stamps = stamps && { table: new StampTable(stamps.memory), seen: stamps.seen };
  }

  get entries(): number {
    return this.files + this.directories + this.links;
  }

  add(entry: ScannedEntry): void {
    if (entry.type === 'file') this.#addFile(entry);
    else this.#addPlain(entry);
  }

  told(): Omit<ScanAnswer, 'rest' | 'notes'> {
    const { files, directories, links, bytes, differingBytes, digest } = this;
    const [lines, plain] = [Buffer.from(this.#lines.join('')), Buffer.from(this.#plain.join(''))];
    return { files, directories, links, bytes, differingBytes, digest, lines, plain };
  }

  #addFile(entry: ScannedEntry): void {
    this.files += 1;
    this.bytes += entry.size;
    if (this.#stamps?.table.isSame(entry, this.#stamps.seen)) return;
    this.differingBytes += entry.size;
    if (this.#tell !== 'nothing') this.#lines.push(lineOf(entry));
  }

  #addPlain(entry: ScannedEntry): void {
    if (entry.type === 'directory') this.directories += 1;
    else this.links += 1;
    if (this.#tell === 'nothing') return;
    const line = lineOf(entry);
    this.#plain.push(line);
    if (this.#tell === 'all') this.#lines.push(line);
  }
}
