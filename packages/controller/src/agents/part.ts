import { toStillpointError } from '@stillpoint/shared/errors';
import { decodePartManifest, sha256Of } from '@stillpoint/shared/manifest';
import type { PartReading } from '../plan/restore.ts';
import type { NodeAgent } from './pool.ts';

/** The manifest of a node's part, or why it cannot be had. Throws only when the signal is aborted. */
export async function readPart(agent: NodeAgent, setId: string, signal: AbortSignal): Promise<PartReading> {
  try {
    const { manifest } = await agent.rpc.readPart({ setId }, { signal });
    return { part: decodePartManifest(manifest, `${agent.node}: part.json of ${setId}`), sha256: sha256Of(manifest) };
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    return { error: toStillpointError(thrown).on(agent.node) };
  }
}
