import type { PartManifest, SetManifest, SetMember } from '@stillpoint/shared/manifest';
import type { EngineStand } from '@stillpoint/shared/proto';
import type { NodeHold, ReadyHold } from '../agents/hold.ts';
import type { AgentPool } from '../agents/pool.ts';
import type { Scope } from '../agents/scope.ts';
import type { EngineResume } from '../api.ts';
import type { BackupSettings } from '../config/schema.ts';
import type { BackupPlan } from '../plan/backup.ts';
import type { BackupStep } from '../plan/steps.ts';
import { backupExecutors } from './backup-steps.ts';
import type { Operation } from './operation.ts';
import { runPhase } from './phase.ts';
import type { PhaseTimes } from './phase-times.ts';
import type { Precopied } from './precopy.ts';

/** A backup that runs: its plan, and what its steps have brought about so far. */
export interface BackupRun {
  readonly operation: Operation;
  readonly agents: AgentPool;
  readonly settings: BackupSettings;
  readonly plan: BackupPlan;
  readonly setId: string;
  /** Holds that can be taken at once. */
  readonly ready: Map<string, ReadyHold>;
  readonly holds: Map<string, NodeHold>;
  /** Nodes that were asked to suspend the engine, or to see it suspended, whatever they answered. */
  readonly suspending: Set<string>;
  /** How the suspended engine stood on each of its nodes. */
  readonly stands: Map<string, EngineStand>;
  /** Holds that are being let go, or were. */
  readonly letting: Map<NodeHold, Promise<void>>;
  /** How the engine came back, by node. */
  readonly resumed: Map<string, EngineResume>;
  /** What probes felt, by node. */
  readonly felt: Map<string, NonNullable<SetMember['probe']>>;
  /** How long writers were shut out, ms, by node: in all attempts together. */
  readonly blockedMs: Map<string, number>;
  readonly parts: Map<string, { readonly part: PartManifest; readonly sha256: string }>;
  /** Passes before the still point, by node, in their order. */
  readonly precopied: Map<string, Precopied[]>;
  /** How long the phases took. */
  readonly times: PhaseTimes;
  /** The instants of the cut, once it is over. */
  cut: Cut | undefined;
  /** What is committed, and its bytes. */
  set: { readonly manifest: SetManifest; readonly bytes: Uint8Array } | undefined;
}

/** When the cluster stood still. */
export interface Cut {
  /** When the last hold was granted. */
  readonly at: Date;
  /** When the first hold was released. */
  readonly releasedAt: Date;
  /** Between the first and the last lock granted, ms. */
  readonly holdSkewMs: number;
}

/** Runs one phase of the plan, if the plan has it, and takes down how long it took, on each node as well. */
export async function runBackupPhase(run: BackupRun, kind: BackupStep['kind'], scope: Scope): Promise<void> {
  const phase = run.plan.phases.find((planned) => planned.phase === kind);
  if (phase === undefined) return;
  const { blocksWriters } = phase;
  await runPhase(
    run.operation,
    phase,
    scope,
    (step) => backupExecutors[step.kind](run, step, scope),
    (length) => run.times.add({ phase: kind, blocksWriters, ...length }),
  );
}
