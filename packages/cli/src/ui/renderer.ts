import type { OperationEvent } from '@stillpoint/controller';
import type { StillpointError } from '@stillpoint/shared/errors';
import type { Result } from './result.ts';

/** How verbose the running commentary is: a level shows itself and all that is more serious. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where everything that a user sees goes through; one implementation per value of `--output`. */
export interface Renderer {
  /** Something happened in a running operation. */
  event(event: OperationEvent): void;
  /** A sentence about the command itself, such as that a signal was understood. */
  notice(message: string): void;
  /** What the command has to say. */
  result(result: Result): void;
  /** Why the command failed. */
  error(error: StillpointError, exitCode: number): void;
  /** Ends live output and gives the terminal back; may be called more than once. */
  close(): void;
}
