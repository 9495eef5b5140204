import type { BigIntStats } from 'node:fs';
import { entryOf, type ScannedEntry } from '../entry.ts';
import { lineOf } from '../line.ts';
import { StampTable } from '../precopy/stamp-table.ts';
import type { Found, ScanAnswer, ScanOrder } from './orders.ts';
import type { StatWords } from './stat.ts';

/** On a thread: what one order has found, and the lines of what is to be told. */
export class Tally implements Omit<Found, 'digest'> {
  files = 0;
  directories = 0;
  links = 0;
  bytes = 0;
  differingBytes = 0;
  readonly #tell: ScanOrder['tell'];
  readonly #stamps: { readonly table: StampTable; readonly seen: number } | undefined;
  readonly #lines: string[] = [];
  readonly #plain: string[] = [];

  constructor({ tell, stamps }: Pick<ScanOrder, 'tell' | 'stamps'>) {
    this.#tell = tell;
    this.#stamps = stamps && { table: new StampTable(stamps.memory), seen: stamps.seen };
  }

  get entries(): number {
    return this.files + this.directories + this.links;
  }

  addFile(path: string, stats: BigIntStats, words: StatWords): void {
    const size = Number(stats.size);
    this.files += 1;
    this.bytes += size;
    if (this.#stamps?.table.isSameStat(path, size, words.halves, this.#stamps.seen)) return;
    this.differingBytes += size;
    if (this.#tell !== 'nothing') this.#lines.push(lineOf(entryOf('file', path, stats)));
  }

  /** A file of which there is a copy now. */
  addCopy(entry: ScannedEntry): void {
    this.files += 1;
    this.bytes += entry.size;
    this.differingBytes += entry.size;
    this.#lines.push(lineOf(entry));
  }

  /** A directory or a link. */
  addPlain(entry: ScannedEntry): void {
    if (entry.type === 'directory') this.directories += 1;
    else this.links += 1;
    if (this.#tell === 'nothing') return;
    const line = lineOf(entry);
    this.#plain.push(line);
    if (this.#tell === 'all') this.#lines.push(line);
  }

  told(): Pick<ScanAnswer, 'files' | 'directories' | 'links' | 'bytes' | 'differingBytes' | 'lines' | 'plain'> {
    const { files, directories, links, bytes, differingBytes } = this;
    const [lines, plain] = [Buffer.from(this.#lines.join('')), Buffer.from(this.#plain.join(''))];
    return { files, directories, links, bytes, differingBytes, lines, plain };
  }
}
