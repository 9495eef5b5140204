import type { ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { restated } from '../agents/restated.ts';
import type { JournalState } from '../journal/journal.ts';
import type { StepRecord } from '../journal/steps.ts';
import { isUndone } from './restore-stand.ts';

/** Codes whose own hint is to start again, or that nothing is held: of a restore that was begun neither is true. */
const MISLEADING: readonly ErrorCode[] = ['CANCELLED', 'TASK_INTERRUPTED', 'CLAIM_MISSING', 'TICKET_REFUSED'];

/** The same error, with what is left of a restore and the ways on from there. One that has touched no node needs none. */
export function withWaysOn(error: StillpointError, operationId: string, steps: readonly StepRecord[]): StillpointError {
  const ways = waysOn(operationId, steps);
  if (ways === '' || error.hint.includes(operationId)) return error;
  return restated(error, { hint: MISLEADING.includes(error.code) ? ways : `${error.hint} ${ways}` });
}

function waysOn(id: string, steps: readonly StepRecord[]): string {
  const begun = (step: string): boolean => steps.some((one) => one.step === step && one.node !== '');
  const resume = `Go on: \`stillpoint restore resume ${id}\``;
  const rollback = `\`stillpoint restore rollback ${id} --yes\``;
  if (begun('finish')) return `Discarding was begun. Go on: \`stillpoint restore finish ${id} --yes\`.`;
  const goingBack = steps.filter(({ node, step }) => node !== '' && step.startsWith('rollback'));
  if (isUndone(steps) && goingBack.every(({ state }) => state === 'succeeded')) return '';
  if (goingBack.length > 0) return `The rollback was begun. Go on: ${rollback}.`;
  if (begun('switch')) return `Restored data is (partly) in place and servers may be stopped. ${resume}; back: ${rollback}.`;
  const stopped = [begun('stop') && 'servers', steps.some(({ step }) => step.startsWith('stop-engine-')) && 'the engine'].filter(Boolean);
  const still = stopped.length === 0 ? '' : `, but ${stopped.join(' and ')} may be stopped`;
  return `Live data is untouched${still}. ${resume}; throw away what is staged: ${rollback}.`;
}

/** What to do with a restore that cannot be resumed from where it rests. */
export function insteadOfResuming(id: string, state: JournalState): string {
  if (state === 'switched') {
    const finish = `Keep it and free the old data: \`stillpoint restore finish ${id} --yes\``;
    return `The restored data is in place everywhere. ${finish}; back: \`stillpoint restore rollback ${id} --yes\`.`;
  }
  const again = 'To restore, make a new plan: `stillpoint restore plan`.';
  if (state === 'rolled-back') return `The data from before is back. ${again}`;
  return state === 'finished' ? `It is complete, and the old data discarded. ${again}` : `It has touched no node. ${again}`;
}
