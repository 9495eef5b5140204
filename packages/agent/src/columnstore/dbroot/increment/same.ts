/** A restore sets times to less than this, nanoseconds: the system takes them as numbers of seconds that are not whole. */
export const RESTORED_WITHIN_NS = 1_000n;
