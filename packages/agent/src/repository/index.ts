/** Where a node keeps its parts: one port, one adapter so far (a directory), and the check of what lies there. */
export { type Read, readInto } from './digest.ts';
export { checkedName } from './names.ts';
export { openRepository } from './open.ts';
export type { Repository, StoredSet } from './types.ts';
export { verifyPart, verifyTask } from './verify.ts';
