import type { ErrorCode } from '@stillpoint/shared/errors';

/** A failure as data: of what an error of the table is made. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  /** Default: that of the table. */
  readonly hint?: string;
}

/** An error of the table, on a thread. The table itself is not loaded there: with what it imports it takes 80 ms, while writers may be waiting. */
export class ThreadFailure extends Error {
  override readonly name = 'ThreadFailure';
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}
