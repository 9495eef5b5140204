import type { ListedFile } from '@stillpoint/shared/manifest';
import { NumbersByNumber } from './numbers.ts';

/** What a file has besides its content and its stamp. */
export type Attributes = Pick<ListedFile, 'mode' | 'owner'>;

/** Attributes of files, by number: there are few of them, however many files have them. */
export class AttributesByNumber {
  readonly #kinds: Attributes[] = [];
  readonly #places = new Map<string, number>();
  readonly #of = new NumbersByNumber();

  set(number: number, { mode, owner }: Attributes): void {
    const key = `${mode} ${owner}`;
    const place = this.#places.get(key) ?? this.#kinds.push({ mode, owner }) - 1;
    this.#places.set(key, place);
    this.#of.set(number, place);
  }

  get(number: number): Attributes | undefined {
    const place = this.#of.get(number);
    return place === undefined ? undefined : this.#kinds[place];
  }
}
