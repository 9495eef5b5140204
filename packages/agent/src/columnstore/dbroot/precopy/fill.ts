import type { StoredFile } from '../../../archive/index.ts';
import { together } from '../../../task/together.ts';
import { nameOwners } from '../named.ts';
import { createOwners, type Owners } from '../owners.ts';
import type { Unit } from '../units.ts';
import { FillThread } from './fill-thread.ts';
import type { FilledFile, ShardToFill } from './orders.ts';

/** Shards to fill at the same time, and with what. */
export interface Filling {
  readonly shards: readonly ShardToFill[];
  readonly units: AsyncGenerator<Unit>;
  /** Gets files as they were packed, those of one shard in the order in which they lie in it. */
  readonly onFilled: (files: readonly FilledFile[]) => Promise<void>;
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Packs files that may be written meanwhile. What is not there any more is left out. Throws CAPTURE_FAILED, DISK_FULL, the system's error, or
 * the signal's reason; whatever lies in the part then is the caller's to remove.
 */
export async function fillShards({ shards, units, onFilled, onBytes, signal }: Filling): Promise<StoredFile[]> {
  signal.throwIfAborted();
  const threads = shards.map((shard) => new FillThread(shard, onBytes));
  const owners = createOwners();
  try {
    return await together(
      signal,
      threads.map((thread) => async (within: AbortSignal) => {
        const onAbort = (): void => void thread.end(within.reason);
        within.addEventListener('abort', onAbort, { once: true });
        await feed(thread, units, owners, onFilled);
        return thread.finish();
      }),
    );
  } finally {
    await Promise.all(threads.map((thread) => thread.end()));
    await units.return(undefined);
  }
}

/** One unit waits in the thread while it is at another, unless that is large. */
async function feed(thread: FillThread, units: AsyncGenerator<Unit>, owners: Owners, onFilled: Filling['onFilled']): Promise<void> {
  let before: Promise<void> = Promise.resolve();
  for (let next = await units.next(); !next.done; next = await units.next()) {
    const order = await orderOf(next.value, owners);
    const packed = thread.add(order).then(onFilled);
    packed.catch(() => undefined);
    await before;
    if (order.kind === 'alone') await packed;
    before = packed;
  }
  await before;
}

const orderOf = async (unit: Unit, owners: Owners) =>
  unit.kind === 'alone'
    ? ({ kind: 'alone', file: await nameOwners(owners, unit.file) } as const)
    : ({ kind: 'together', files: await Promise.all(unit.files.map((file) => nameOwners(owners, file))) } as const);
