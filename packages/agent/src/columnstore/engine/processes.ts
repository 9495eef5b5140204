/** A process of the engine on this node; never a zombie. */
export interface EngineProcess {
  readonly pid: number;
  readonly name: string;
  /** Clock ticks since boot: with the pid it names a process for good. */
  readonly startedTicks: bigint;
}

/** Finds processes of this node by the name of their program. Tests pass one of their own. */
export type FindProcesses = (names: readonly string[]) => Promise<readonly EngineProcess[]>;
