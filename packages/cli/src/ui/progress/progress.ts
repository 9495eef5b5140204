import type { OperationEvent } from '@stillpoint/controller';

/** A running commentary on an operation. */
export interface Progress {
  event(event: OperationEvent): void;
  /** Lines that stay, between what is redrawn. */
  print(lines: readonly string[]): void;
  /** Gives the terminal back; may be called more than once, and nothing is drawn afterwards. */
  close(): void;
}
