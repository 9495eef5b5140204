import type { Clock } from '@stillpoint/shared/time';
import type { Logger } from 'pino';
import { startedTicksOf } from '../host/index.ts';
import { type LivingGuardian, livingGuardians } from './presence.ts';
import { RESUME_MS } from './see-writable.ts';
import type { Undoer } from './undoer.ts';

export interface SettleParts {
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly undoer: Undoer;
}

/** A guardian sees at once that its agent is gone, and then keeps writers waiting for so long at most, and for a lease where it does not suspend. */
const GUARDIAN_MS = RESUME_MS + 30_000;
const LOOK_EVERY_MS = 50;

/**
 * To be done when an agent starts, before it serves: what an earlier life of it suspended is undone. A guardian of that life which keeps
 * writers waiting is waited for: it knows best when they may go on. Never throws.
 */
export async function settleEarlierLife({ stateDir, clock, log, undoer }: SettleParts): Promise<void> {
  const read = (): Promise<readonly LivingGuardian[]> =>
    livingGuardians(stateDir).catch((err: unknown) => {
      log.error({ err }, 'guardians of an earlier life of the agent cannot be told');
      return [];
    });
  let guardians = await read();
  const endsMs = clock.monotonicMs() + Math.max(0, ...guardians.map(({ leaseMs }) => leaseMs)) + GUARDIAN_MS;
  for (const { operationId, pid, isHolding } of guardians) {
    if (isHolding)
      log.warn({ operation: operationId, pid }, 'the guardian of an earlier life of the agent is at work; waiting for its end');
  }
  while (guardians.some(({ isHolding }) => isHolding) && clock.monotonicMs() < endsMs) {
    await clock.sleep(LOOK_EVERY_MS);
    guardians = await read();
  }
  // One of them that has let writers go already only undoes what is undone here.
  for (const guardian of guardians) if (!guardian.isHolding) await kill(guardian, clock);
  await undoer.begin();
  for (const guardian of guardians) {
    if (!guardian.isHolding) continue;
    log.error({ operation: guardian.operationId, pid: guardian.pid }, 'a guardian that does not end is killed');
    await kill(guardian, clock);
  }
}

async function kill({ pid }: LivingGuardian, clock: Clock): Promise<void> {
  const started = await startedTicksOf(pid);
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
  while (started !== undefined && (await startedTicksOf(pid)) === started) await clock.sleep(LOOK_EVERY_MS);
}
