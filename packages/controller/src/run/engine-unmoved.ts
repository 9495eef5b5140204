import { StillpointError } from '@stillpoint/shared/errors';
import { type EngineNode, isEnginePrimary, ownedDbroots } from '../plan/engine.ts';
import type { PlannedNode, RestorePlan } from '../plan/restore.ts';
import { engineNow } from './engine.ts';
import type { RestoreRun } from './restore-run.ts';
import { modulesOf } from './restore-stand.ts';

/**
 * Sees to it that dbroots belong where the plan has them. While its images are staged the engine may run, and what manages it may give dbroots, the
 * first one too, to other nodes. Throws PLAN_STALE.
 */
export async function requireUnmovedEngine(run: RestoreRun, signal: AbortSignal): Promise<void> {
  const told = movedSince(run.plan, await engineNow(run, signal));
  if (told.length === 0) return;
  throw new StillpointError('PLAN_STALE', `since plan ${run.plan.id} was made: ${told.join('; ')}`, {
    hint: 'Give every dbroot back to its node of the plan, in Columnstore.xml of all nodes, and go on; or go back, and make a new plan.',
  });
}

/** What of the engine belongs to other nodes than a plan has it on, a sentence each. Pure. */
function movedSince(plan: RestorePlan, found: readonly EngineNode[]): string[] {
  return modulesOf(plan).flatMap((planned) => {
    const { node, restoreConfiguration } = planned;
    const now = found.find((other) => other.node === node);
    // Its configuration may be about to come back.
    if (now === undefined) return restoreConfiguration ? [] : [`${node} does not know any more which module of the engine it is`];
    const [was, is] = [asPlanned(planned), asFound(now)];
    return was === is ? [] : [`${node} owned ${was}, and owns ${is}`];
  });
}

const asPlanned = ({ dbroots, engine }: PlannedNode): string => inWords(dbroots, engine?.primary === true);
const asFound = ({ engine }: EngineNode): string => inWords(ownedDbroots(engine), isEnginePrimary(engine));

function inWords(dbroots: readonly { readonly number: number; readonly path: string }[], isPrimary: boolean): string {
  const told = dbroots.toSorted((a, b) => a.number - b.number).map(({ number, path }) => `dbroot ${number} in ${path}`);
  return `${told.join(', ') || 'no dbroot'}${isPrimary ? ' (primary)' : ''}`;
}
