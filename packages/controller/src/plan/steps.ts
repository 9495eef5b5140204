/**
 * Steps: what plans are made of. A plan is data; one executor per kind carries it out (run/backup-steps.ts and
 * run/restore-steps.ts), and a kind without an executor does not compile.
 */

/** One step of a backup, on one node. */
export type BackupStep =
  /** Is the node fit for a backup? */
  | { readonly kind: 'check'; readonly node: string }
  /** What can be had of dbroots, and of servers that cannot come to the gate, while clients write is brought over. */
  | { readonly kind: 'precopy'; readonly node: string }
  /** All that takes time before a lock can be asked for. */
  | { readonly kind: 'ready'; readonly node: string }
  /** mariadb-backup copies while clients write, and comes to the gate. */
  | { readonly kind: 'park'; readonly node: string }
  /** Writers are made to wait. */
  | { readonly kind: 'quiesce'; readonly node: string }
  /** No ColumnStore table lock and no cpimport is left. */
  | { readonly kind: 'drain'; readonly node: string }
  /** The ColumnStore engine is set read-only, by its primary. */
  | { readonly kind: 'suspend'; readonly node: string }
  /** A node that is not the engine's primary sees that it is read-only. */
  | { readonly kind: 'confirm'; readonly node: string }
  /** The block resolution manager is saved. */
  | { readonly kind: 'flush'; readonly node: string }
  /** The image is taken. */
  | { readonly kind: 'capture'; readonly node: string }
  /** The node proves that it stood still. */
  | { readonly kind: 'attest'; readonly node: string }
  /** Writers go on. */
  | { readonly kind: 'resume'; readonly node: string }
  /** Tables are summed at the cut, the part's manifest is written. */
  | { readonly kind: 'publish'; readonly node: string }
  /** set.json is written. */
  | { readonly kind: 'commit'; readonly node: string };

/** One step of a restore, on one node. */
export type RestoreStep =
  /** Is the node fit for a restore? */
  | { readonly kind: 'check'; readonly node: string }
  /** The image is brought beside the live data, verified, prepared and proven. */
  | { readonly kind: 'stage'; readonly node: string }
  /** The server is stopped; only for servers that run, and only if that was allowed. */
  | { readonly kind: 'stop'; readonly node: string }
  /** One stage of the engine's processes is stopped; `last` is the last one on its node. */
  | { readonly kind: 'stop-engine'; readonly node: string; readonly stage: number; readonly last: boolean }
  /** The staged data takes the place of the live data. */
  | { readonly kind: 'switch'; readonly node: string }
  /** The server is started. */
  | { readonly kind: 'start'; readonly node: string }
  /** The server replicates from its source. */
  | { readonly kind: 'replicate'; readonly node: string }
  /** The block resolution manager is loaded: from this node itself (empty), or from the engine's primary. */
  | { readonly kind: 'load-brm'; readonly node: string; readonly from: string }
  /** One stage of the engine's processes is started. */
  | { readonly kind: 'start-engine'; readonly node: string; readonly stage: number }
  /** Every ColumnStore table is read whole through this node's server. */
  | { readonly kind: 'prove-engine'; readonly node: string };

/** Name of a step in the journal: unique on its node. */
export const stepName = (step: RestoreStep): string =>
  step.kind === 'stop-engine' || step.kind === 'start-engine' ? `${step.kind}-${step.stage}` : step.kind;
