import { realpath } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, relative } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { type CaptureOptions, DbrootStrategy } from '@stillpoint/shared/proto';
import {
  type CapturedDbroot,
  DbrootPrecopy,
  DbrootReflink,
  type DbrootToCapture,
  type DbrootWork,
  requireDirectory,
  type StagedDbroot,
  shardsOfEach,
} from '../../columnstore/dbroot/index.ts';
import { isWithin } from '../../columnstore/paths.ts';
import type { Engine } from '../../columnstore/types.ts';
import { together } from '../../task/together.ts';
import type { ImageWork, Precopied } from '../storage.ts';
import { storingOf } from '../storing.ts';
import type { EngineCaptureOptions } from './engine-image.ts';
import { lockedDbroot } from './locked-dbroot.ts';
import { parentDbroot } from './parent-dbroot.ts';
import { leftOf, originOf } from './precopied-dbroots.ts';

/** Threads that look at all dbroots of a node, at most. More only take memory. */
const MOST_THREADS = 8;

const threadsOfEach = (dbroots: number): number =>
  Math.max(1, Math.floor(Math.min(MOST_THREADS, availableParallelism()) / Math.max(1, dbroots)));

/** The dbroots of a node, each in the making by a strategy of its own. All stages throw what those of the strategies throw. */
export class EngineDbroots {
  readonly #key: string;
  readonly #dbroots: readonly StagedDbroot[];

  private constructor(key: string, dbroots: readonly StagedDbroot[]) {
    this.#key = key;
    this.#dbroots = dbroots;
  }

  /** Throws BRM_FAILED, CAPTURE_FAILED, or the system's error. */
  static async begin(
    engine: Engine,
    { agent, operationId, setId, part, parent, options }: EngineCaptureOptions,
    note: (message: string) => void,
  ): Promise<EngineDbroots> {
    const brmDirectory = engine.isPrimary ? await brmDirectoryOf(engine) : undefined;
    const { length } = engine.owned;
    const planned: DbrootToCapture[] = [];
    for (const { number, path } of engine.owned) {
      const dbroot = {
        ...{ number, path, part, cluster: agent.config.cluster, root: await requireDirectory(path) },
        ...{ shards: shardsOfEach(length), threads: threadsOfEach(length), ...storingOf(options) },
        brmDirectory: number === 1 ? brmDirectory : undefined,
        parent: await parentDbroot(parent, number, note),
      };
      const isPrecopied = strategyOf(number, options) === DbrootStrategy.PRECOPY;
      planned.push({ ...dbroot, origin: isPrecopied ? await originOf({ agent, operationId, setId }, dbroot) : undefined });
    }
    const left = await leftOf(
      part,
      planned.map(({ origin }) => origin),
      note,
    );
    const dbroots: StagedDbroot[] = [];
    for (const dbroot of planned) dbroots.push(await inTheMaking({ ...dbroot, before: left.get(dbroot.number) }, options, note));
    return new EngineDbroots(keyOf(engine), dbroots);
  }

  /** Whether the engine has the same dbroots still. */
  areThoseOf(engine: Engine): boolean {
    return this.#key === keyOf(engine);
  }

  async precopy(work: ImageWork): Promise<Precopied> {
    const all = await this.#each(work, (dbroot, of) => dbroot.precopy(of));
    const sum = (key: keyof Precopied): number => all.reduce((bytes, each) => bytes + each[key], 0);
    return { bytes: sum('bytes'), changedBytes: sum('changedBytes') };
  }

  async take(work: ImageWork): Promise<void> {
    await this.#each(work, (dbroot, of) => dbroot.take(of));
  }

  finish(work: ImageWork): Promise<CapturedDbroot[]> {
    return this.#each(work, (dbroot, of) => dbroot.finish(of));
  }

  /** Never throws. */
  async discard(): Promise<void> {
    await Promise.all(this.#dbroots.map((dbroot) => dbroot.discard()));
  }

  #each<T>({ signal, note, progress }: ImageWork, stage: (dbroot: StagedDbroot, work: DbrootWork) => Promise<T>): Promise<T[]> {
    const told = progressOf(this.#dbroots.length, progress);
    return together<T[]>(
      signal,
      this.#dbroots.map((dbroot) => (within: AbortSignal) => stage(dbroot, { signal: within, note, ...told })),
    );
  }
}

const keyOf = ({ owned, topology }: Engine): string => JSON.stringify([topology.dbrmRoot, owned.map(({ number, path }) => [number, path])]);

const strategyOf = (number: number, { dbroots }: CaptureOptions): DbrootStrategy | undefined =>
  dbroots.find((dbroot) => dbroot.number === number)?.strategy;

function inTheMaking(
  dbroot: DbrootToCapture,
  options: CaptureOptions,
  note: (message: string) => void,
): StagedDbroot | Promise<StagedDbroot> {
  const strategy = strategyOf(dbroot.number, options);
  if (strategy === DbrootStrategy.REFLINK) return new DbrootReflink(dbroot);
  if (strategy === DbrootStrategy.PRECOPY) return DbrootPrecopy.begin(dbroot, note);
  return lockedDbroot(dbroot);
}

/** Place of the block resolution manager in dbroot 1: elsewhere it would be in no image. Throws BRM_FAILED. */
async function brmDirectoryOf({ owned, topology: { dbrmRoot } }: Engine): Promise<string> {
  const path = owned.find(({ number }) => number === 1)?.path ?? '';
  const [root, directory] = await Promise.all([realpath(path), realpath(dirname(dbrmRoot))]);
  if (isWithin(directory, root)) return relative(root, directory);
  throw new StillpointError(
    'BRM_FAILED',
    `The block resolution manager is saved in ${dirname(dbrmRoot)}, which is not in dbroot 1, ${path}`,
    { hint: 'Stillpoint captures it with dbroot 1. Correct SystemConfig/DBRMRoot in Columnstore.xml.' },
  );
}

/** Adds up what several dbroots tell of themselves. */
function progressOf(dbroots: number, report: ImageWork['progress']): Pick<DbrootWork, 'onFound' | 'onBytes'> {
  let found = 0;
  let done = 0;
  let total = 0;
  const tell = (): void => report(done, found < dbroots ? 0 : total);
  return {
    onFound: (bytes) => {
      found += 1;
      total += bytes;
      tell();
    },
    onBytes: (bytes) => {
      done += bytes;
      tell();
    },
  };
}
