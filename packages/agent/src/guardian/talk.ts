import { type ErrorCode, isErrorCode, StillpointError } from '@stillpoint/shared/errors';
import type { ColumnstoreConfig, MariadbConfig } from '../config/schema.ts';

/** What a guardian is told first. No secrets: a password is read from its file. */
export interface Instructions {
  readonly operationId: string;
  readonly stateDir: string;
  /** Undefined on a node without a server: then only the engine is to be guarded. */
  readonly mariadb: Pick<MariadbConfig, 'socket' | 'user' | 'passwordFile'> | undefined;
  readonly columnstore: ColumnstoreConfig;
  /** True when descriptor 3 is the connection of the agent that holds its lock: open here, it is not closed by the death of the agent. */
  readonly isShared: boolean;
  /** How long the agent may be silent once the lock is taken, milliseconds. */
  readonly leaseMs: number;
}

/** What the agent says later, a line each; the end of the stream says that the agent is gone. */
export type Order =
  /** The hold has its lock: take the second one. Answered by `locked`. */
  | 'lock'
  /** Still here. Answered by `alive`. */
  | 'renew'
  /** The engine is about to be made read-only by this node. Answered by `guarding`. */
  | 'suspending'
  /** It is read-only. */
  | 'suspended'
  /**
   * The engine is not read-write for certain, and writers cannot wait longer: let go of the lock, and stay. If the agent ends before `release`,
   * see to the engine in its place. Answered by `released`.
   */
  | 'unlock'
  /** Everything is undone: let go, and end. Answered by `released`. */
  | 'release';

/** What a guardian says, a line of JSON each. */
export type Word =
  | { readonly word: 'ready' }
  | { readonly word: 'locked'; readonly connectionId: number }
  | { readonly word: 'alive' }
  | { readonly word: 'guarding' }
  | { readonly word: 'released' }
  /** It cannot do what it was told, or has lost its lock; it goes on until it is released. */
  | { readonly word: 'failed'; readonly error: Failure }
  /** It no longer relies on the agent, and undoes everything by itself. */
  | { readonly word: 'taking-over'; readonly why: string };

interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** An error as it crosses to the agent. */
export const failureOf = ({ code, message, hint }: StillpointError): Failure => ({ code, message, hint });

/** The error at the other end. */
export function errorOf({ code, message, hint }: Failure): StillpointError {
  const known: ErrorCode = isErrorCode(code) ? code : 'INTERNAL';
  return new StillpointError(known, message, { hint });
}

/** A line, its newline included. */
export const lineOf = (said: Instructions | { readonly order: Order } | Word): string => `${JSON.stringify(said)}\n`;
