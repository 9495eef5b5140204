import { toStillpointError } from '@stillpoint/shared/errors';
import { onEveryNode } from '../agents/every-node.ts';
import { abortReason, isEcho, type Scope, withoutNode } from '../agents/scope.ts';
import type { Operation } from './operation.ts';

/** How long a phase took, ms, and its steps: those that have ended, as they ended. */
export interface PhaseLength {
  readonly ms: number;
  readonly nodes: readonly { readonly node: string; readonly ms: number }[];
  /** False when it failed. */
  readonly ended: boolean;
}

/**
 * Runs the steps of a phase in parallel, tells the user of each, and journals the phase before and after. `onEnd` gets its length, however it
 * ends. Throws the first failure once all steps have settled.
 */
export async function runPhase<S extends { readonly kind: string; readonly node: string }>(
  operation: Operation,
  phase: { readonly phase: string; readonly steps: readonly S[] },
  scope: Scope | undefined,
  execute: (step: S) => Promise<void>,
  onEnd: (length: PhaseLength) => void = () => {},
): Promise<void> {
  const { clock, observe, steps } = operation;
  const name = phase.phase;
  // What is done after a cancel is its clean-up: the phase that it hit stays the one to name.
  if (!operation.signal.aborted) operation.phase = name;
  steps.started(name, '', (steps.get(name, '')?.attempt ?? 0) + 1);
  observe({ type: 'phase', phase: name });
  const nodes: { readonly node: string; readonly ms: number }[] = [];
  const begunAt = clock.monotonicMs();
  const end = (ended: boolean): void => {
    const ms = clock.monotonicMs() - begunAt;
    onEnd({ ms, nodes, ended });
    observe({ type: 'phase-ended', phase: name, ms });
  };
  try {
    await onEveryNode(phase.steps, scope, async (step) => {
      const onStepEnd = (ms: number): void => void nodes.push({ node: step.node, ms });
      await watched(operation, step, scope?.signal ?? operation.signal, execute, onStepEnd);
    });
  } catch (error) {
    end(false);
    steps.failed(name, '', toStillpointError(error).message);
    throw error;
  }
  end(true);
  steps.succeeded(name, '');
}

async function watched<S extends { readonly kind: string; readonly node: string }>(
  { clock, observe }: Operation,
  step: S,
  stop: AbortSignal,
  execute: (step: S) => Promise<void>,
  onEnd: (ms: number) => void,
): Promise<void> {
  const { kind, node } = step;
  observe({ type: 'step', node, step: kind, state: 'started' });
  const begunAt = clock.monotonicMs();
  const end = (): number => {
    const ms = clock.monotonicMs() - begunAt;
    onEnd(ms);
    return ms;
  };
  try {
    await execute(step);
    observe({ type: 'step', node, step: kind, state: 'succeeded', ms: end() });
  } catch (error) {
    const message = isEcho(error, stop) ? stoppedBecause(stop, node) : withoutNode(toStillpointError(error).on(node)).message;
    observe({ type: 'step', node, step: kind, state: 'failed', ms: end(), message });
    throw error;
  }
}

/** A step that did not fail by itself must not show the message of the one that did. */
function stoppedBecause(stop: AbortSignal, node: string): string {
  const reason = abortReason(stop);
  if (reason.code === 'CANCELLED') return 'stopped because the operation was cancelled';
  return reason.node === undefined || reason.node === node ? withoutNode(reason).message : `stopped because of ${reason.node}`;
}
