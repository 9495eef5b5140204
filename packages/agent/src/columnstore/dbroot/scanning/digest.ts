import type { ScannedEntry } from '../entry.ts';
import type { StatWords } from './stat.ts';

const ONE = 0x9e3779b1;
const OTHER = 0x85ebca77;

const TAGS: Readonly<Record<ScannedEntry['type'], number>> = { file: 1, directory: 2, link: 3 };

/**
 * A digest of everything that was seen, 64 bits, in whatever order: the sum of one for each entry. Another stamp of a file, another target of a link, a
 * name that comes or goes makes it another one.
 */
export class Digest {
  #low = 0;
  #high = 0;
  /** Of the directory at hand. */
  #inOne = 0;
  #inOther = 0;
  #one = 0;
  #other = 0;

  get sum(): bigint {
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  /** What is added from now on lies in that directory. */
  enter(directory: string): void {
    [this.#one, this.#other] = [ONE, OTHER];
    this.#text(directory);
    [this.#inOne, this.#inOther] = [this.#one, this.#other];
  }

  /** Adds an entry: of a file its stamp, unless it may be written at any time; of a link its target. */
  add(type: ScannedEntry['type'], name: string, stamp: StatWords | string | undefined): void {
    [this.#one, this.#other] = [this.#inOne, this.#inOther];
    this.#text(name);
    this.#word(TAGS[type]);
    if (typeof stamp === 'string') this.#text(stamp);
    else if (stamp !== undefined) for (let at = 0; at < 8; at += 1) this.#word(stamp.halves[at] ?? 0);
    const low = mixed(this.#one ^ Math.imul(this.#other, OTHER));
    const high = mixed(this.#other ^ Math.imul(low, ONE));
    const sum = this.#low + low;
    this.#low = sum >>> 0;
    this.#high = (this.#high + high + (sum > 0xffffffff ? 1 : 0)) >>> 0;
  }

  #text(text: string): void {
    let [one, other] = [this.#one, this.#other];
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      one = Math.imul(one ^ code, ONE);
      other = Math.imul(other ^ code, OTHER);
    }
    [this.#one, this.#other] = [one, other];
    this.#word(text.length);
  }

  /** Turned on each time, so that two changes of the same bit do not cancel each other. */
  #word(word: number): void {
    this.#one = Math.imul(((this.#one << 13) | (this.#one >>> 19)) ^ word, ONE);
    this.#other = Math.imul(((this.#other << 17) | (this.#other >>> 15)) ^ word, OTHER);
  }
}

/** The last step of MurmurHash3: every bit depends on every other. */
function mixed(word: number): number {
  let mix = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return (mix ^ (mix >>> 16)) >>> 0;
}
