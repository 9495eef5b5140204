import { StillpointError } from '@stillpoint/shared/errors';
import type { PartColumnstore, Shard } from '@stillpoint/shared/manifest';
import type { CaptureOptions } from '@stillpoint/shared/proto';
import type { Agent } from '../../agent.ts';
import { currentBrm } from '../../columnstore/brm/current.ts';
import { openEngine } from '../../columnstore/discovery/index.ts';
import type { Engine } from '../../columnstore/types.ts';
import type { Hold } from '../../hold/types.ts';
import { accountName } from '../../host/index.ts';
import { recordsIn, removePrecopied } from '../../precopied/index.ts';
import type { Parent } from '../parent.ts';
import { type ImageWork, NOTHING_BEFORE, type Precopied, type StorageCapture } from '../storage.ts';
import { EngineDbroots } from './engine-dbroots.ts';

/** The engine's share of a part. */
export interface EngineImage {
  readonly columnstore: PartColumnstore;
  readonly shards: readonly Shard[];
  /** sha256 of Columnstore.xml, in hex, under the suspension. */
  readonly configSha256: string;
}

/** Whose dbroots, and how. */
export interface EngineCaptureOptions {
  readonly agent: Agent;
  readonly operationId: string;
  readonly setId: string;
  /** Directory of the part. */
  readonly part: string;
  /** What the dbroots are to be increments of; undefined stores all of them. */
  readonly parent: Parent | undefined;
  readonly options: CaptureOptions;
}

/**
 * The image of all dbroots that this node owns, each by the strategy that the options name. Undefined on a node without an engine; a node that
 * owns no dbroot has an image without any.
 *
 * Its stages throw HOLD_LOST unless the engine is suspended under the hold, COLUMNSTORE_CONFIG, COLUMNSTORE_UNSUPPORTED, BRM_FAILED, CAPTURE_MOVED,
 * CAPTURE_FAILED, DISK_FULL, or the signal's reason. Whatever lies in the part then is the caller's to remove.
 */
export const engineCapture = (options: EngineCaptureOptions): StorageCapture<EngineImage | undefined> => new EngineCapture(options);

class EngineCapture implements StorageCapture<EngineImage | undefined> {
  readonly #options: EngineCaptureOptions;
  #dbroots: EngineDbroots | undefined;
  #described: (Omit<PartColumnstore, 'dbroots'> & { readonly configSha256: string }) | undefined;

  constructor(options: EngineCaptureOptions) {
    this.#options = options;
  }

  async precopy(work: ImageWork): Promise<Precopied> {
    const engine = await openEngine(this.#options.agent.config);
    const { part } = this.#options;
    // What an interrupted backup has left in it is of nobody then.
    if (engine === undefined) await removePrecopied(part, await recordsIn(part));
    if (engine === undefined) return NOTHING_BEFORE;
    requireDbroots(engine);
    return (await this.#of(engine, work)).precopy(work);
  }

  async take(hold: Hold, work: ImageWork): Promise<void> {
    const engine = await openEngine(this.#options.agent.config);
    if (engine === undefined) return;
    requireDbroots(engine);
    requireSuspended(engine, hold);
    const brmCurrent = engine.isPrimary ? (await currentBrm(engine.topology.dbrmRoot)).set : '';
    await (await this.#of(engine, work)).take(work);
    const { configFile, configSha256, generation, isPrimary: primary, module, owner, topology, version } = engine;
    const { configRevision, dbrmRoot } = topology;
    const described = { version, generation, configFile, configRevision, module, primary, dbrmRoot, brmCurrent };
    this.#described = { ...described, owner: await accountName(owner), configSha256 };
  }

  async finish(work: ImageWork): Promise<EngineImage | undefined> {
    if (this.#described === undefined || this.#dbroots === undefined) return undefined;
    const { configSha256, ...described } = this.#described;
    const dbroots = await this.#dbroots.finish(work);
    return {
      columnstore: { ...described, dbroots: dbroots.map(({ dbroot }) => dbroot) },
      shards: dbroots.flatMap(({ shards }) => shards),
      configSha256,
    };
  }

  async discard(): Promise<void> {
    await this.#dbroots?.discard();
  }

  /** Those of the engine as it is configured now: what was copied of another place is worth nothing. */
  async #of(engine: Engine, { note }: Pick<ImageWork, 'note'>): Promise<EngineDbroots> {
    if (this.#dbroots !== undefined && !this.#dbroots.areThoseOf(engine))
      throw new StillpointError('CAPTURE_MOVED', `By ${engine.configFile}, dbroots of this node are others than when the backup began`);
    this.#dbroots ??= await EngineDbroots.begin(engine, this.#options, note);
    return this.#dbroots;
  }
}

/** Its dbroots must lie in directories, and be known. */
function requireDbroots({ configFile, contradictions, module, topology }: Engine): void {
  if (topology.storage === 'storagemanager') {
    throw new StillpointError('COLUMNSTORE_UNSUPPORTED', `By ${configFile} the data of the engine lies in object storage`);
  }
  if (module === 0 && contradictions.length > 0)
    throw new StillpointError('COLUMNSTORE_CONFIG', `It is not clear which module this node is: ${contradictions.join('; ')}`);
}

/** An engine that may write has no image; and one that was given another configuration meanwhile is another engine. */
function requireSuspended({ configFile, configSha256, owned }: Engine, { stand }: Hold): void {
  if (owned.length === 0) return;
  if (stand === undefined) {
    const numbers = owned.map(({ number }) => number).join(', ');
    throw new StillpointError('HOLD_LOST', `The engine is not suspended under this hold, so its dbroots (${numbers}) cannot be captured`);
  }
  if (stand.configSha256 !== configSha256)
    throw new StillpointError('CAPTURE_MOVED', `${configFile} was changed after the engine was suspended`);
}
