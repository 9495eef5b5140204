import { together } from '../../../task/together.ts';
import type { Found, Looking, ScanAnswer, ScanOrder } from './orders.ts';

/** Directories that are given to a thread at once. */
const MOST_DIRECTORIES = 64;

/** What is done with what a scan tells of. */
export interface ScanUse extends Looking {
  /** Gets answers as they come, also several at the same time; the thread waits for it. */
  readonly onAnswer?: (answer: ScanAnswer) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Whatever can look at a dbroot. */
export interface Scans {
  /** See `scanOn`. */
  scan(use: ScanUse): Promise<Found>;
}

/** A thread that can be ended. */
interface Endable {
  end(reason?: unknown): Promise<void>;
}

/** A thread that looks. */
export interface Looker extends Endable {
  look(order: ScanOrder): Promise<ScanAnswer>;
}

/**
 * Looks at everything, on several threads. Directories are told of before what lies in them; there is no other order. Throws CAPTURE_MOVED for what
 * vanishes meanwhile (unless writers may write), CAPTURE_FAILED for what cannot be looked at or is named by no text, what `onAnswer` throws, or the
 * signal's reason. The threads have ended then.
 */
export async function scanOn(threads: readonly Looker[], { onAnswer, signal, ...looking }: ScanUse): Promise<Found> {
  const found = { files: 0, directories: 0, links: 0, bytes: 0, differingBytes: 0, digest: 0n };
  const waiting = new Waiting(['']);
  await onAll(threads, signal, async (thread) => {
    for (;;) {
      const directories = await waiting.next(threads.length);
      if (directories === undefined) return;
      try {
        const answer = await thread.look({ kind: 'scan', ...looking, directories });
        waiting.add(answer.rest);
        for (const key of ['files', 'directories', 'links', 'bytes', 'differingBytes'] as const) found[key] += answer[key];
        found.digest = BigInt.asUintN(64, found.digest + answer.digest);
        await onAnswer?.(answer);
      } finally {
        waiting.done();
      }
    }
  });
  return found;
}

/** Does something on each of several threads. They have ended when this throws, or is aborted. */
export async function onAll<T extends Endable>(
  threads: readonly T[],
  signal: AbortSignal,
  work: (thread: T) => Promise<void>,
): Promise<void> {
  const end = (reason: unknown): Promise<unknown> => Promise.all(threads.map((thread) => thread.end(reason)));
  const onAbort = (): void => void end(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await together<undefined[]>(
      signal,
      threads.map((thread) => async (within: AbortSignal) => {
        within.addEventListener('abort', () => void end(within.reason), { once: true });
        await work(thread);
        return undefined;
      }),
    );
  } catch (error) {
    await end(error);
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Directories that nobody has looked into yet. */
class Waiting {
  readonly #directories: string[];
  #busy = 0;
  #change = Promise.withResolvers<void>();

  constructor(directories: string[]) {
    this.#directories = directories;
  }

  /** A fair share of them, once there are some; undefined when none come any more. */
  async next(sharers: number): Promise<readonly string[] | undefined> {
    while (this.#directories.length === 0) {
      if (this.#busy === 0) return undefined;
      await this.#change.promise;
    }
    this.#busy += 1;
    return this.#directories.splice(-Math.min(MOST_DIRECTORIES, Math.ceil(this.#directories.length / sharers)));
  }

  add(directories: readonly string[]): void {
    for (const each of directories) this.#directories.push(each);
    this.#changed();
  }

  /** Whoever got some has looked into them, or failed. */
  done(): void {
    this.#busy -= 1;
    this.#changed();
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}
