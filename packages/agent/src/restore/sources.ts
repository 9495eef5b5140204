import { StillpointError } from '@stillpoint/shared/errors';
import type { StageTask } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import { requireKeys } from './keys.ts';
import { openOwnPart, openPart, type PartSource } from './source.ts';

/** Everything that a stage task restores from. */
export interface Sources {
  /** The image of the server; undefined on a node without one. */
  readonly image: PartSource | undefined;
  /** By number. */
  readonly dbroots: ReadonlyMap<number, PartSource>;
  /** This node's own part, as far as it is opened for anything. */
  readonly own: PartSource | undefined;
  close(): void;
}

/** Opens them all. Throws as `openPart` and `requireKeys` do, USAGE for a task that restores nothing; nothing is open then. */
export async function openSources(config: AgentConfig, spec: StageTask, signal: AbortSignal): Promise<Sources> {
  const opened: PartSource[] = [];
  const keep = async (opening: Promise<PartSource>): Promise<PartSource> => {
    const source = await opening;
    opened.push(source);
    await requireKeys(source, signal);
    return source;
  };
  const close = (): void => {
    for (const source of opened) source.close();
  };
  const { setId, sourceNode, partSha256, seed } = spec;
  if (sourceNode === '' && !spec.columnstore) throw new StillpointError('USAGE', 'The task names nothing to restore');
  try {
    const image =
      sourceNode === '' ? undefined : await keep(openPart(config, { setId, node: sourceNode, sha256: partSha256, seed }, signal));
    const dbroots = new Map<number, PartSource>();
    for (const wanted of spec.dbroots) {
      dbroots.set(
        wanted.number,
        await keep(openPart(config, { setId, node: wanted.node, sha256: wanted.partSha256, seed: wanted.seed }, signal)),
      );
    }
    const isOwn = ({ part }: PartSource): boolean => part.node === config.node;
    const found = opened.find(isOwn);
    // The configuration that comes back is always this node's own.
    const own =
      found ??
      (spec.restoreConfiguration ? await keep(openOwnPart(config, { setId, node: config.node, sha256: spec.ownPartSha256 })) : undefined);
    return { image, dbroots, own, close };
  } catch (error) {
    close();
    throw error;
  }
}
