import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';

/** What of a failure is said anew. */
interface Words {
  readonly code?: ErrorCode;
  readonly message?: string;
  /** Undefined for that of the code. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** The same failure in other words: where it happened, and who was in the way, stay. */
export function restated(error: StillpointError, words: Words): StillpointError {
  const { blockers, node, tableLocks } = error;
  const { cause = error.cause, code = error.code, message = error.message } = words;
  return new StillpointError(code, message, { hint: 'hint' in words ? words.hint : error.hint, node, blockers, tableLocks, cause });
}
