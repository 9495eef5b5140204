import type { ErrorRow } from './row.ts';
import { ERROR_TABLE, type ErrorCode } from './table.ts';

/** A session that stood in the way of a lock; see `Blocker` in error.proto. */
export interface BlockingSession {
  readonly connectionId: number;
  readonly user: string;
  readonly host: string;
  readonly ageMs: number;
  readonly command: string;
  /** Head of the running statement; empty for an idle session. */
  readonly statement: string;
  /** Metadata lock it holds; empty when the server cannot tell. */
  readonly lockMode: string;
}

/** A table lock of ColumnStore that stood in the way; see `TableLock` in error.proto. */
export interface TableLock {
  readonly id: number;
  /** schema.table; empty when the engine cannot tell. */
  readonly table: string;
  /** Program that holds it: DMLProc, cpimport, ... */
  readonly process: string;
  /** On the node that runs it, which the engine does not name. */
  readonly pid: number;
  /** SQL session; empty for bulk loads. */
  readonly session: string;
  /** When it was taken, in the words of the engine. */
  readonly created: string;
  readonly state: string;
  readonly dbroots: readonly number[];
  readonly ageMs: number;
}

/** What an error may carry besides its code and message. */
export interface ErrorContext {
  /** What to do next; default: the hint of the table's row. */
  readonly hint?: string | undefined;
  /** Node on which it happened. */
  readonly node?: string | undefined;
  readonly blockers?: readonly BlockingSession[] | undefined;
  readonly tableLocks?: readonly TableLock[] | undefined;
  readonly cause?: unknown;
}

/**
 * The one error that users and peers get to see. The message says what and where, the hint what to do next;
 * neither ever holds a secret. Anything else thrown is a bug and shows as INTERNAL.
 */
export class StillpointError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly node: string | undefined;
  readonly blockers: readonly BlockingSession[];
  readonly tableLocks: readonly TableLock[];

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = 'StillpointError';
    this.code = code;
    this.hint = context.hint ?? ERROR_TABLE[code].hint;
    this.node = context.node;
    this.blockers = context.blockers ?? [];
    this.tableLocks = context.tableLocks ?? [];
  }

  /** The row of the error table. */
  get row(): ErrorRow {
    return ERROR_TABLE[this.code];
  }

  /** The same error, bound to a node if it was not yet. */
  on(node: string): StillpointError {
    if (this.node !== undefined) return this;
    const { hint, blockers, tableLocks, cause } = this;
    return new StillpointError(this.code, this.message, { hint, blockers, tableLocks, node, ...(cause === undefined ? {} : { cause }) });
  }
}

/** True for an abort, whatever raised it: fetch-style DOMException, timers, execa, our own. */
export function isAbort(error: unknown): boolean {
  if (error instanceof StillpointError) return error.code === 'CANCELLED';
  return error instanceof Error && (error.name === 'AbortError' || (error as NodeJS.ErrnoException).code === 'ABORT_ERR');
}

/** The errno code (ENOENT, ENOSPC, ...) of a system error, else undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** What a file system says when it is not for the program to mend: read-only, owned by others, broken. */
const REFUSALS: ReadonlySet<string> = new Set(['EROFS', 'EACCES', 'EPERM', 'EIO', 'EBUSY', 'ESTALE', 'ELOOP']);
/** Calls that speak of ports, not of files. */
const OF_NETWORK: ReadonlySet<unknown> = new Set(['listen', 'bind', 'connect']);

/**
 * Makes a StillpointError of anything thrown. What is not one already becomes CANCELLED (aborts), DISK_FULL
 * (ENOSPC, EDQUOT) or `fallback`; without a fallback, what a file system refuses becomes FILE_REFUSED, and the rest INTERNAL.
 */
export function toStillpointError(error: unknown, fallback?: ErrorCode): StillpointError {
  if (error instanceof StillpointError) return error;
  // An AbortSignal aborted with a StillpointError as reason surfaces as the cause of some library's AbortError.
  if (error instanceof Error && error.cause instanceof StillpointError && isAbort(error)) return error.cause;
  const message = error instanceof Error ? error.message : String(error);
  if (isAbort(error)) return new StillpointError('CANCELLED', message, { cause: error });
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return new StillpointError('DISK_FULL', message, { cause: error });
  const isRefusal = errno !== undefined && REFUSALS.has(errno) && !OF_NETWORK.has((error as NodeJS.ErrnoException).syscall);
  return new StillpointError(fallback ?? (isRefusal ? 'FILE_REFUSED' : 'INTERNAL'), message, { cause: error });
}
