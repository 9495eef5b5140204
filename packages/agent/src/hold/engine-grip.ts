import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import type { Resumed } from '../columnstore/suspend/index.ts';
import { awaitSteadilyWritable, RESUME_MS, STEADY_MS } from '../guardian/index.ts';
import type { HoldEngine } from './engine.ts';
import type { Grip } from './phases.ts';

/** How far the suspension of the engine has come, as this node can know. */
export type Suspension =
  /** Nobody suspends before every node has come further. */
  | 'none'
  /** This node, or another one for it, may be about to suspend. */
  | 'begun'
  /** The engine was read-only, and stays so until somebody resumes it. */
  | 'complete';

export interface EngineGripParts {
  readonly engine: Pick<HoldEngine, 'control' | 'record' | 'undoer'>;
  readonly leaseMs: number;
  readonly clock: Clock;
  /** How far it has come, asked when it is to be let go. */
  suspension(): Suspension;
  /** Told how the engine was resumed by this node. */
  resumed(how: Resumed): void;
  /** Told that the engine was not seen read-write; writers go on all the same, for they cannot wait for ever. */
  failed(error: StillpointError): void;
}

const NEVER = new AbortController().signal;

/**
 * Keeps SQL writers waiting until the engine is read-write: a write that meets a read-only one fails, and may leave a table locked.
 *
 * The primary resumes what it suspended. The other nodes wait until they see that; so the order holds in the whole cluster although nobody
 * tells them, also when the controller or the agent of the primary is gone. Bounded: nobody waits longer than a minute (and, for others, a lease)
 * for an engine that does not become read-write.
 */
export const engineGrip = (parts: EngineGripParts): Grip => ({
  letGo: () => (parts.engine.control.isPrimary && parts.suspension() !== 'none' ? resume(parts) : awaitOthers(parts)),
});

async function resume(parts: EngineGripParts): Promise<void> {
  const { control, record, undoer } = parts.engine;
  const { clock } = parts;
  // The guardian has resumed it while this process was frozen. What is read-only now would be the doing of somebody else.
  if (parts.suspension() === 'complete' && !(await record.isThere())) return;
  try {
    parts.resumed(await control.resume({ timeoutMs: RESUME_MS, clock, signal: NEVER }));
    await record.remove();
  } catch (error) {
    parts.failed(toStillpointError(error, 'RESUME_FAILED'));
    void undoer.begin();
  }
}

async function awaitOthers(parts: EngineGripParts): Promise<void> {
  const { clock, leaseMs } = parts;
  const { control } = parts.engine;
  const steadyMs = parts.suspension() === 'begun' ? STEADY_MS : 0;
  if (await awaitSteadilyWritable(control, { timeoutMs: leaseMs + RESUME_MS, steadyMs, clock })) return;
  parts.failed(new StillpointError('RESUME_FAILED', 'Writers go on, but the engine was not seen read-write from this node'));
}
