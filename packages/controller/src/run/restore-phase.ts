import { openScope } from '../agents/scope.ts';
import type { RestorePhase } from '../plan/restore-phases.ts';
import { runPhase } from './phase.ts';
import type { RestoreRun } from './restore-run.ts';
import { executeStep } from './restore-steps.ts';

/**
 * Runs a phase. Before the barrier one failure stops the others; behind it, each node goes as far as it can. `prefix` tells phase and steps in
 * the journal from those of the same name on the way there.
 */
export async function runRestorePhase(run: RestoreRun, { phase, steps }: RestorePhase, signal: AbortSignal, prefix = ''): Promise<void> {
  if (steps.length === 0) return;
  const together = phase === 'check' || phase === 'stage';
  const scope = openScope(signal);
  await runPhase(run.operation, { phase: `${prefix}${phase}`, steps }, together ? scope : undefined, (step) =>
    executeStep(run, step, scope.signal, prefix),
  );
}
