import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Duration, durationMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { errnoOf, type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { CleanNodeResponseSchema } from '@stillpoint/shared/proto';
import { directoryBytes } from '../host/index.ts';
import { changedMs, findLeftovers } from '../leftovers/index.ts';
import type { ServiceParts } from './service.ts';

/** What is asked for, with a checked operation id; empty to look only. */
export interface CleanOrder {
  readonly operationId: string;
  readonly olderThan: Duration | undefined;
  readonly committed: readonly string[];
}

/** Younger leftovers may be somebody's work. */
const DEFAULT_AGE_MS = 86_400_000;

/**
 * Tells of everything that dead operations left behind, and removes it as it goes when an operation is named, which must own the node.
 * Throws CLAIM_MISSING, the system's error, the signal's reason, or, when all is told, why something could not be removed: FILE_REFUSED as a rule.
 */
export async function* cleanNode(
  { agent, claims }: ServiceParts,
  { operationId, olderThan, committed }: CleanOrder,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof CleanNodeResponseSchema>> {
  if (operationId !== '') claims.require(operationId);
  const owner = claims.current()?.operationId;
  const ageMs = olderThan === undefined ? DEFAULT_AGE_MS : durationMs(olderThan);
  const search = { config: agent.config, alive: owner === operationId ? undefined : owner, committed: new Set(committed), signal };
  const failures: StillpointError[] = [];
  for await (const { kind, path, reason, staysBecause, remove } of findLeftovers(search)) {
    const changed = await changedMs(path);
    if (agent.clock.now().getTime() - changed < ageMs) continue;
    const bytes = BigInt(await directoryBytes(path, signal));
    const found = { kind, path, bytes, changedAt: timestampFromMs(Math.round(changed)), reason };
    if (operationId === '' || staysBecause !== '') {
      yield { ...found, staysBecause, removed: false };
      continue;
    }
    // The others are not to stay because of this one.
    const failure = await claims.within(operationId, () => removing(remove));
    const log = { operation: operationId, path, bytes: Number(bytes) };
    if (failure === undefined) agent.log.warn(log, `left behind, removed: ${reason}`);
    else failures.push(failure);
    yield {
      ...found,
      staysBecause: failure === undefined ? '' : `It could not be removed: ${failure.message}`,
      removed: failure === undefined,
    };
  }
  if (failures[0] !== undefined) throw failures[0];
}

/** What the system said to a removal; undefined when it went well. Throws whatever else goes wrong. */
async function removing(remove: () => Promise<void>): Promise<StillpointError | undefined> {
  try {
    await remove();
    return undefined;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return toStillpointError(error);
  }
}
