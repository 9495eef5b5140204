/** Errors: a closed table, one class, one way onto the wire and back. */

export { EXIT, EXIT_MEANING, type ExitName } from './exit.ts';
export type { ErrorRow } from './row.ts';
export {
  type BlockingSession,
  type ErrorContext,
  errnoOf,
  isAbort,
  StillpointError,
  type TableLock,
  toStillpointError,
} from './stillpoint-error.ts';
export { ERROR_TABLE, type ErrorCode, isErrorCode } from './table.ts';
export { fromErrorDetail, toErrorDetail } from './wire.ts';
