import type { NamedProcess } from '../../host/index.ts';

/** A process of the engine on this node; never a zombie. */
export type EngineProcess = NamedProcess;

/** Finds processes of this node by the name of their program. Tests pass one of their own. */
export type FindProcesses = (names: readonly string[]) => Promise<readonly EngineProcess[]>;
