import { realpath } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { PartColumnstore, Shard } from '@stillpoint/shared/manifest';
import type { CaptureOptions } from '@stillpoint/shared/proto';
import type { Agent } from '../../agent.ts';
import { currentBrm } from '../../columnstore/brm/current.ts';
import { type CapturedDbroot, captureDbroot, shardsOfEach } from '../../columnstore/dbroot/index.ts';
import { openEngine } from '../../columnstore/discovery/index.ts';
import { isWithin } from '../../columnstore/paths.ts';
import type { Engine } from '../../columnstore/types.ts';
import type { Hold } from '../../hold/types.ts';
import { accountName } from '../../host/index.ts';
import { together } from '../../task/together.ts';
import { type ImageWork, type StorageCapture, takenWhole } from '../storage.ts';
import { type Storing, storingOf } from '../storing.ts';

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
  /** Directory of the part. */
  readonly part: string;
  readonly options: CaptureOptions;
}

/**
 * The image of all dbroots that this node owns. Undefined on a node without an engine; a node that owns no dbroot has an image without any.
 *
 * Throws HOLD_LOST unless the engine is suspended under the hold, COLUMNSTORE_CONFIG, COLUMNSTORE_UNSUPPORTED, BRM_FAILED, CAPTURE_MOVED,
 * CAPTURE_FAILED, DISK_FULL, or the signal's reason. Whatever lies in the part then is the caller's to remove.
 */
export const engineCapture = ({ agent, part, options }: EngineCaptureOptions): StorageCapture<EngineImage | undefined> =>
  takenWhole(async (hold, work) => {
    const engine = await openEngine(agent.config);
    if (engine === undefined) return undefined;
    requireSuspended(engine, hold);
    const brm = engine.isPrimary ? await brmOf(engine) : undefined;
    const dbroots = await captureAll({ ...work, ...storingOf(options), part }, engine, brm?.directory);
    const { configFile, configSha256, generation, isPrimary, module, owner, topology, version } = engine;
    const { configRevision, dbrmRoot } = topology;
    const described = { version, generation, configFile, configRevision, module, primary: isPrimary, dbrmRoot, brmCurrent: brm?.set ?? '' };
    return {
      columnstore: { ...described, owner: await accountName(owner), dbroots: dbroots.map(({ dbroot }) => dbroot) },
      shards: dbroots.flatMap(({ shards }) => shards),
      configSha256,
    };
  });

/** An engine that may write has no image; and one that was given another configuration meanwhile is another engine. */
function requireSuspended({ configFile, configSha256, contradictions, module, owned, topology }: Engine, { stand }: Hold): void {
  if (topology.storage === 'storagemanager') {
    throw new StillpointError('COLUMNSTORE_UNSUPPORTED', `By ${configFile} the data of the engine lies in object storage`);
  }
  if (module === 0 && contradictions.length > 0)
    throw new StillpointError('COLUMNSTORE_CONFIG', `It is not clear which module this node is: ${contradictions.join('; ')}`);
  if (owned.length === 0) return;
  if (stand === undefined) {
    const numbers = owned.map(({ number }) => number).join(', ');
    throw new StillpointError('HOLD_LOST', `The engine is not suspended under this hold, so its dbroots (${numbers}) cannot be captured`);
  }
  if (stand.configSha256 !== configSha256)
    throw new StillpointError('CAPTURE_MOVED', `${configFile} was changed after the engine was suspended`);
}

/** The current set of the block resolution manager, and its place in dbroot 1: elsewhere it would be in no image. */
async function brmOf({ owned, topology: { dbrmRoot } }: Engine): Promise<{ readonly set: string; readonly directory: string }> {
  const { set } = await currentBrm(dbrmRoot);
  const path = owned.find(({ number }) => number === 1)?.path ?? '';
  const [root, directory] = await Promise.all([realpath(path), realpath(dirname(dbrmRoot))]);
  if (isWithin(directory, root)) return { set, directory: relative(root, directory) };
  throw new StillpointError(
    'BRM_FAILED',
    `The block resolution manager is saved in ${dirname(dbrmRoot)}, which is not in dbroot 1, ${path}`,
    {
      hint: 'Stillpoint captures it with dbroot 1. Correct SystemConfig/DBRMRoot in Columnstore.xml.',
    },
  );
}

interface AllDbroots extends ImageWork, Storing {
  readonly part: string;
}

async function captureAll(all: AllDbroots, { owned }: Engine, brmDirectory: string | undefined): Promise<CapturedDbroot[]> {
  const { part, level, recipients, note, signal } = all;
  const progress = progressOf(owned.length, all.progress);
  const shards = shardsOfEach(owned.length);
  return together(
    signal,
    owned.map(
      ({ number, path }) =>
        (within: AbortSignal) =>
          captureDbroot({
            ...{ number, path, part, shards, level, recipients, note, ...progress },
            brmDirectory: number === 1 ? brmDirectory : undefined,
            signal: within,
          }),
    ),
  );
}

/** Adds up what several dbroots tell of themselves. */
function progressOf(dbroots: number, report: ImageWork['progress']) {
  let found = 0;
  let done = 0;
  let total = 0;
  const tell = (): void => report(done, found < dbroots ? 0 : total);
  return {
    onFound: ({ bytes }: { readonly bytes: number }): void => {
      found += 1;
      total += bytes;
      tell();
    },
    onBytes: (bytes: number): void => {
      done += bytes;
      tell();
    },
  };
}
