import type { ErrorRow } from './row.ts';

/** Rows of the table for sets and parts that are missing, or that stay. */
export const SET_ERRORS = {
  SET_NOT_FOUND: {
    exit: 'NOT_FOUND',
    grpc: 'NOT_FOUND',
    summary: 'No such set, or it was never committed.',
    hint: '`stillpoint backup list` shows the sets.',
  },
  SET_PROTECTED: {
    exit: 'DELETE_REFUSED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'The set is protected, so it is not deleted.',
    hint: '`stillpoint backup unprotect SET` takes the protection away.',
  },
  SET_NEEDED: {
    exit: 'DELETE_REFUSED',
    grpc: 'FAILED_PRECONDITION',
    summary: 'Other sets hold only what has changed since this one: without it they could not be restored.',
    hint: 'Delete the named sets first.',
  },
  PART_NOT_FOUND: {
    exit: 'NOT_FOUND',
    grpc: 'NOT_FOUND',
    summary: 'A node holds no part of the set.',
    hint: '`stillpoint backup show` says which node should.',
  },
} as const satisfies Record<string, ErrorRow>;
