import type { status } from '@grpc/grpc-js';
import type { ExitName } from './exit.ts';

type GrpcName = keyof typeof status;

/** One row of the error table: everything that is the same for every error of a code. */
export interface ErrorRow {
  /** How the command line ends. */
  readonly exit: ExitName;
  /** How a call ends on the wire. */
  readonly grpc: GrpcName;
  /** Set when the same request may succeed later without anybody changing anything. */
  readonly retryable?: true;
  /** One sentence for the reference: what the code means. */
  readonly summary: string;
  /** What to do next, when the error itself does not know better. */
  readonly hint: string;
}
