import { toStillpointError } from '@stillpoint/shared/errors';
import { onEveryNode } from '../agents/every-node.ts';
import { abortReason, isEcho, type Scope, withoutNode } from '../agents/scope.ts';
import type { Operation } from './operation.ts';

/**
 * Runs the steps of a phase in parallel, tells the user of each, and journals the phase before and after. Returns its
 * length, ms. Throws the first failure once all steps have settled.
 */
export async function runPhase<S extends { readonly kind: string; readonly node: string }>(
  operation: Operation,
  phase: { readonly phase: string; readonly steps: readonly S[] },
  scope: Scope | undefined,
  execute: (step: S) => Promise<void>,
): Promise<number> {
  const { clock, observe, steps } = operation;
  const name = phase.phase;
  // What is done after a cancel is its clean-up: the phase that it hit stays the one to name.
  if (!operation.signal.aborted) operation.phase = name;
  steps.started(name, '', (steps.get(name, '')?.attempt ?? 0) + 1);
  observe({ type: 'phase', phase: name });
  const begunAt = clock.monotonicMs();
  try {
    await onEveryNode(phase.steps, scope, (step) => watched(operation, step, scope?.signal ?? operation.signal, execute));
  } catch (error) {
    observe({ type: 'phase-ended', phase: name, ms: clock.monotonicMs() - begunAt });
    steps.failed(name, '', toStillpointError(error).message);
    throw error;
  }
  const ms = clock.monotonicMs() - begunAt;
  observe({ type: 'phase-ended', phase: name, ms });
  steps.succeeded(name, '');
  return ms;
}

async function watched<S extends { readonly kind: string; readonly node: string }>(
  { clock, observe }: Operation,
  step: S,
  stop: AbortSignal,
  execute: (step: S) => Promise<void>,
): Promise<void> {
  const { kind, node } = step;
  observe({ type: 'step', node, step: kind, state: 'started' });
  const begunAt = clock.monotonicMs();
  try {
    await execute(step);
    observe({ type: 'step', node, step: kind, state: 'succeeded', ms: clock.monotonicMs() - begunAt });
  } catch (error) {
    const message = isEcho(error, stop) ? stoppedBecause(stop, node) : withoutNode(toStillpointError(error).on(node)).message;
    observe({ type: 'step', node, step: kind, state: 'failed', ms: clock.monotonicMs() - begunAt, message });
    throw error;
  }
}

/** A step that did not fail by itself must not show the message of the one that did. */
function stoppedBecause(stop: AbortSignal, node: string): string {
  const reason = abortReason(stop);
  if (reason.code === 'CANCELLED') return 'stopped because the operation was cancelled';
  return reason.node === undefined || reason.node === node ? withoutNode(reason).message : `stopped because of ${reason.node}`;
}
