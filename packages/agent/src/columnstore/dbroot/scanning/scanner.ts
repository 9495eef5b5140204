import type { BigIntStats } from 'node:fs';
import { entryOf, type ScannedEntry } from '../entry.ts';
import { cloneEntry } from '../reflink/clone.ts';
import { isLeftOut } from '../rules.ts';
import { Digest } from './digest.ts';
import { namesIn, statsOf, targetOf, typedIn, typeOf } from './look.ts';
import type { ScanAnswer, ScannedRoot, ScanOrder } from './orders.ts';
import { StatWords } from './stat.ts';
import { Tally } from './tally.ts';

/** Entries looked at before the rest is given back: others may have nothing to do. */
const AT_ONCE = 1024;

/** What is looked at. */
type Looked = Pick<ScannedRoot, 'root' | 'restless'>;

/** On a thread: looks into directories, and into those that it finds in them, for a while. Throws CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL. */
export const scan = (of: Looked, order: ScanOrder): ScanAnswer => new Scanner(of, order).run();

/** One order. */
class Scanner {
  readonly #of: Looked;
  readonly #order: ScanOrder;
  readonly #rest: string[];
  readonly #notes: string[] = [];
  readonly #tally: Tally;
  readonly #digest = new Digest();
  readonly #words = new StatWords();
  /** The directory at hand, relative and in full, with a slash behind it unless it is empty. */
  #within = '';
  #place = '';

  constructor(of: Looked, order: ScanOrder) {
    this.#of = of;
    this.#order = order;
    this.#rest = [...order.directories];
    this.#tally = new Tally(order);
  }

  run(): ScanAnswer {
    const { cloneTo, isAlive, tell } = this.#order;
    // Nobody is told of directories: that they are there is all that counts.
    const isBrief = tell === 'nothing' && !isAlive && cloneTo === undefined;
    while (this.#tally.entries < AT_ONCE) {
      const directory = this.#rest.pop();
      if (directory === undefined) break;
      const place = directory === '' ? this.#of.root : `${this.#of.root}/${directory}`;
      this.#within = directory === '' ? '' : `${directory}/`;
      this.#place = `${place}/`;
      this.#digest.enter(this.#within);
      if (isBrief) this.#lookBriefly(place);
      else this.#lookAtAll(place);
    }
    return { rest: this.#rest, notes: this.#notes, digest: this.#digest.sum, ...this.#tally.told() };
  }

  #lookBriefly(place: string): void {
    for (const each of typedIn(place)) {
      const { name } = each;
      if (isLeftOut(this.#within, name)) continue;
      if (each.isDirectory()) {
        this.#digest.add('directory', name, undefined);
        this.#enterLater(name);
        this.#tally.directories += 1;
      } else this.#look(name);
    }
  }

  #lookAtAll(place: string): void {
    for (const name of namesIn(place, this.#order.isAlive)) if (!isLeftOut(this.#within, name)) this.#look(name);
  }

  #look(name: string): void {
    const { isAlive } = this.#order;
    const full = `${this.#place}${name}`;
    const stats = statsOf(full, isAlive);
    if (stats === undefined) return;
    const type = typeOf(stats);
    if (type === undefined) this.#notes.push(`${full} is neither file, directory nor link, and was left out`);
    else if (type === 'file') this.#addFile(name, stats);
    else {
      const target = type === 'link' ? targetOf(full, isAlive) : '';
      if (target !== undefined) this.#addPlain({ ...entryOf(type, `${this.#within}${name}`, stats), target }, name);
    }
  }

  #addFile(name: string, stats: BigIntStats): void {
    const { cloneTo } = this.#order;
    const { restless, root } = this.#of;
    const path = `${this.#within}${name}`;
    const words = this.#words.set(stats);
    this.#digest.add('file', name, restless.size > 0 && restless.has(path) ? undefined : words);
    if (cloneTo === undefined) this.#tally.addFile(path, stats, words);
    else this.#tally.addCopy(cloneEntry(root, cloneTo, entryOf('file', path, stats), restless));
  }

  #addPlain(entry: ScannedEntry, name: string): void {
    const { cloneTo } = this.#order;
    this.#digest.add(entry.type, name, entry.type === 'link' ? entry.target : undefined);
    if (cloneTo !== undefined) cloneEntry(this.#of.root, cloneTo, entry, this.#of.restless);
    if (entry.type === 'directory') this.#enterLater(name);
    this.#tally.addPlain(entry);
  }

  #enterLater(name: string): void {
    this.#rest.push(`${this.#within}${name}`);
  }
}
