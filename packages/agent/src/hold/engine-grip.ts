import { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import type { Resumed } from '../columnstore/suspend/index.ts';
import { STEADY_MS, type Suspension, seeWritable } from '../guardian/index.ts';
import type { HoldEngine } from './engine.ts';
import type { Grip } from './phases.ts';

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

/**
 * Keeps SQL writers waiting until the engine is read-write: a write that meets a read-only one fails, and may leave a table locked.
 *
 * The primary resumes what it suspended; see `seeWritable`. While a request to suspend may be carried out yet, its record stays, and it is
 * watched for, although writers go on.
 */
export const engineGrip = (parts: EngineGripParts): Grip => ({ letGo: () => letGo(parts) });

async function letGo(parts: EngineGripParts): Promise<void> {
  const { clock, engine, leaseMs } = parts;
  const { control, record, undoer } = engine;
  const suspension = parts.suspension();
  const isOurs = control.isPrimary && suspension !== 'none';
  // The guardian has resumed it while this process was frozen. What is read-only now would be the doing of somebody else.
  if (isOurs && suspension === 'complete' && !(await record.isThere())) return;
  const steadyMs = suspension === 'begun' ? STEADY_MS : 0;
  const { isWritable, resumed, error } = await seeWritable({ control, suspension, steadyMs, leaseMs, clock });
  if (resumed !== undefined) parts.resumed(resumed);
  if (!isWritable) {
    parts.failed(error ?? new StillpointError('RESUME_FAILED', 'Writers go on, but the engine was not seen read-write from this node'));
  }
  if (!isOurs) return;
  if (isWritable && suspension === 'complete') await record.remove();
  else void undoer.begin();
}
