import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Duration, durationMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
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
 * Throws CLAIM_MISSING, the system's error, or the signal's reason.
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
  for await (const { kind, path, reason, staysBecause, remove } of findLeftovers(search)) {
    const changed = await changedMs(path);
    if (agent.clock.now().getTime() - changed < ageMs) continue;
    const bytes = BigInt(await directoryBytes(path, signal));
    const removed = operationId !== '' && staysBecause === '';
    if (removed) {
      await claims.within(operationId, remove);
      agent.log.warn({ operation: operationId, path, bytes: Number(bytes) }, `left behind, removed: ${reason}`);
    }
    yield { kind, path, bytes, changedAt: timestampFromMs(Math.round(changed)), reason, staysBecause, removed };
  }
}
