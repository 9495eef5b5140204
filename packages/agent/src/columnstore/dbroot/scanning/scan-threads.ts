import { join } from 'node:path';
import { together } from '../../../task/together.ts';
import { Thread } from '../../../thread/index.ts';
import { restlessFiles } from '../rules.ts';
import type { DbrootToCapture } from '../staged.ts';
import type { FileToTake, Found, Looking, ScanAnswer, ScannedRoot, ScanningAnswer, ScanningOrder, TakenFile } from './orders.ts';

/** Directories that are given to a thread at once. */
const MOST_DIRECTORIES = 64;

/** What is done with what a scan tells of. */
export interface ScanUse extends Looking {
  /** Gets answers as they come, also several at the same time; the thread waits for it. */
  readonly onAnswer?: (answer: ScanAnswer) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Which dbroot, and on how many threads. */
export interface ScanThreadsOptions extends Omit<ScannedRoot, 'takeInto'> {
  /** Beginning of the names of files for what is taken: one a thread. */
  readonly takeInto: string;
  readonly threads: number;
}

/**
 * Threads that look at a dbroot: they wait for the disk and make what they find into text by themselves, and are there before the still point
 * begins. To be ended on every path.
 */
export class ScanThreads {
  readonly #threads: readonly Thread<ScanningOrder, ScanningAnswer>[];

  constructor({ threads, takeInto, ...of }: ScanThreadsOptions) {
    this.#threads = Array.from(
      { length: threads },
      (_, index) =>
        new Thread({
          main: new URL('./main', import.meta.url),
          what: `that looks at ${of.root}`,
          code: 'CAPTURE_FAILED',
          data: { ...of, takeInto: `${takeInto}.${index}` } satisfies ScannedRoot,
          onWord: () => {},
        }),
    );
  }

  /**
   * Looks at everything. Directories are told of before what lies in them; there is no other order. Throws CAPTURE_MOVED for what vanishes
   * meanwhile (unless writers may write), CAPTURE_FAILED for what cannot be looked at or is named by no text, what `onAnswer` throws, or
   * the signal's reason. The threads have ended then.
   */
  async scan({ onAnswer, signal, ...looking }: ScanUse): Promise<Found> {
    const found = { files: 0, directories: 0, links: 0, bytes: 0, differingBytes: 0, digest: 0n };
    const waiting = new Waiting(['']);
    await this.#onAll(signal, async (thread) => {
      for (;;) {
        const directories = await waiting.next(this.#threads.length);
        if (directories === undefined) return;
        try {
          const answer = (await thread.ask({ kind: 'scan', ...looking, directories })) as ScanAnswer;
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

  /** Takes files as they are. Throws CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL, or the signal's reason. The threads have ended then. */
  async take(files: Iterator<readonly FileToTake[]>, onTaken: (taken: readonly TakenFile[]) => void, signal: AbortSignal): Promise<void> {
    await this.#onAll(signal, async (thread) => {
      for (let next = files.next(); !next.done; next = files.next())
        onTaken((await thread.ask({ kind: 'take', files: next.value })) as readonly TakenFile[]);
    });
  }

  /** Ends them, whatever they are at. Repeatable, never throws. */
  async end(reason?: unknown): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end(reason)));
  }

  async #onAll(signal: AbortSignal, work: (thread: Thread<ScanningOrder, ScanningAnswer>) => Promise<void>): Promise<void> {
    const onAbort = (): void => void this.end(signal.reason);
    signal.throwIfAborted();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await together<undefined[]>(
        signal,
        this.#threads.map((thread) => async (within: AbortSignal) => {
          within.addEventListener('abort', () => void this.end(within.reason), { once: true });
          await work(thread);
          return undefined;
        }),
      );
    } catch (error) {
      await this.end(error);
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}

/** Threads that only look at a dbroot. */
export const scansOf = ({
  brmDirectory,
  part,
  root,
  threads,
}: Pick<DbrootToCapture, 'brmDirectory' | 'part' | 'root' | 'threads'>): ScanThreads =>
  new ScanThreads({ root, threads, restless: restlessFiles(brmDirectory), takeInto: join(part, '.nothing') });

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
