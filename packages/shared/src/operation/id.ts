import { randomBytes } from 'node:crypto';

/** What an operation does. */
export const OPERATION_KINDS = ['backup', 'restore', 'verify', 'delete', 'prune', 'protect', 'clean'] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

const stamp = (now: Date): string => now.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);

/** A new id of operations and plans: kind, time in UTC, four random bytes. Sorts by time within a kind. */
export function newOperationId(kind: OperationKind | 'plan', now: Date): string {
  return `${kind}-${stamp(now)}-${randomBytes(4).toString('hex')}`;
}

/** A new set id, for example 20261121-091500-3fa94c01. Sorts by time; is a file name. */
export function newSetId(now: Date): string {
  return `${stamp(now)}-${randomBytes(4).toString('hex')}`;
}

/** What ids of sets, operations, tasks, clusters and nodes look like: they become file names. */
export const NAME_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
