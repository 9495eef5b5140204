/**
 * Steps: what plans are made of. A plan is data; one executor per kind carries it out (run/executors.ts), and a
 * kind without an executor does not compile.
 */
export type StillPointPhase = 'quiesce' | 'drain' | 'suspend' | 'flush';
