import { join } from 'node:path';
import { Thread } from '../../../thread/index.ts';
import { restlessFiles } from '../rules.ts';
import type { DbrootToCapture } from '../staged.ts';
import type { FileToTake, Found, ScanAnswer, ScannedRoot, ScanningAnswer, ScanningOrder, TakenFile } from './orders.ts';
import { type Looker, onAll, type Scans, type ScanUse, scanOn } from './scans.ts';

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
export class ScanThreads implements Scans {
  readonly #threads: readonly Thread<ScanningOrder, ScanningAnswer>[];
  readonly #lookers: readonly Looker[];

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
    this.#lookers = this.#threads.map((thread) => ({
      look: async (order) => (await thread.ask(order)) as ScanAnswer,
      end: (reason) => thread.end(reason),
    }));
  }

  /** See `scanOn`. */
  scan(use: ScanUse): Promise<Found> {
    return scanOn(this.#lookers, use);
  }

  /** Takes files as they are. Throws CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL, or the signal's reason. The threads have ended then. */
  async take(files: Iterator<readonly FileToTake[]>, onTaken: (taken: readonly TakenFile[]) => void, signal: AbortSignal): Promise<void> {
    await onAll(this.#threads, signal, async (thread) => {
      for (let next = files.next(); !next.done; next = files.next())
        onTaken((await thread.ask({ kind: 'take', files: next.value })) as readonly TakenFile[]);
    });
  }

  /** Ends them, whatever they are at. Repeatable, never throws. */
  async end(reason?: unknown): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end(reason)));
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
