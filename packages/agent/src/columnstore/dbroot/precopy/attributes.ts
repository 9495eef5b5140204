import type { ListedFile } from '@stillpoint/shared/manifest';

/** What a file has besides its content and its stamp. */
export type Attributes = Pick<ListedFile, 'mode' | 'owner'>;

/** Attributes of files, by number: there are few of them, however many files have them. */
export class AttributesByNumber {
  readonly #kinds: Attributes[] = [];
  readonly #places = new Map<string, number>();
  /** Place among the kinds, from 1; 0 for none. */
  #of = new Uint32Array(0);

  /** `most` is the largest number that there is by now. */
  set(number: number, { mode, owner }: Attributes, most: number): void {
    if (this.#of.length <= most) {
      const larger = new Uint32Array(most + 1);
      larger.set(this.#of);
      this.#of = larger;
    }
    this.#of[number] = this.#placeOf({ mode, owner });
  }

  get(number: number): Attributes | undefined {
    return this.#kinds[(this.#of[number] ?? 0) - 1];
  }

  #placeOf(kind: Attributes): number {
    const key = `${kind.mode} ${kind.owner}`;
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const place = this.#kinds.push(kind);
    this.#places.set(key, place);
    return place;
  }
}
