import type { BlockingSession, TableLock } from '@stillpoint/shared/errors';

/** What the user sees while an operation runs. Emitted by the controller, rendered by the command line. */
export type OperationEvent =
  | { readonly type: 'operation'; readonly operationId: string; readonly kind: string; readonly setId?: string }
  /** A phase of the whole cluster began. */
  | { readonly type: 'phase'; readonly phase: string }
  /** A phase of the whole cluster ended. */
  | { readonly type: 'phase-ended'; readonly phase: string; readonly ms: number }
  | {
      readonly type: 'step';
      readonly node: string;
      readonly step: string;
      readonly state: 'started' | 'succeeded' | 'failed';
      readonly ms?: number;
      readonly message?: string;
    }
  /** Bytes of a node's present step; total 0 when unknown. */
  | { readonly type: 'progress'; readonly node: string; readonly step: string; readonly bytesDone: number; readonly bytesTotal: number }
  | { readonly type: 'log'; readonly node: string; readonly message: string }
  /** What an administrator has to see to, though the operation goes on. */
  | { readonly type: 'warning'; readonly node: string; readonly message: string; readonly hint: string }
  /** The cluster could not be brought to a stand; everything was released and is tried again after `waitMs`. */
  | {
      readonly type: 'retry';
      readonly attempt: number;
      readonly attempts: number;
      readonly waitMs: number;
      readonly node: string;
      readonly message: string;
      readonly blockers: readonly BlockingSession[];
      readonly tableLocks: readonly TableLock[];
    };

export type Observer = (event: OperationEvent) => void;
