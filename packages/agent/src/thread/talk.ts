import type { Failure } from './failure.ts';

/** An error that is none of the table's, for the way between two threads: the code of a system error would be lost on it. */
export interface OtherError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly errno: string | undefined;
}

/** What a thread says: words in passing, and one answer to every order, in their order. */
export type Said<Answer, Word> =
  | { readonly kind: 'word'; readonly word: Word }
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'threw'; readonly error: OtherError };
