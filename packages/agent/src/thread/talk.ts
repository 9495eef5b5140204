import type { Failure } from './failure.ts';
import type { EndGate } from './unbroken.ts';

/** An error that is none of the table's, for the way between two threads: the code of a system error would be lost on it. */
export interface OtherError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly errno: string | undefined;
}

/** An order, with the number by which its answer is known. */
export interface Numbered<Order> {
  readonly number: number;
  readonly order: Order;
}

/** What an order came to that was not carried out. */
export type Thrown = { readonly kind: 'failed'; readonly failure: Failure } | { readonly kind: 'threw'; readonly error: OtherError };

/** What a thread is started with. */
export interface ThreadData {
  /** For `begin` of `serveThread`. */
  readonly data: unknown;
  readonly gate: EndGate;
}

/** What a thread says: words in passing, and one answer to every order. */
export type Said<Answer, Word> =
  | { readonly kind: 'word'; readonly word: Word }
  | { readonly kind: 'answer'; readonly number: number; readonly answer: Answer }
  | (Thrown & { readonly number: number });
