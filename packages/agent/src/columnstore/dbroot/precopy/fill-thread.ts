import type { StoredFile } from '../../../archive/index.ts';
import { Thread } from '../../../thread/index.ts';
import type { FillAnswer, FilledFile, FillOrder, FillWord, ShardToFill } from './orders.ts';

/**
 * A thread that fills one shard: it reads, hashes, compresses and writes by itself. All throw CAPTURE_FAILED (also when the thread has
 * died), DISK_FULL, the system's error, or the reason of its end.
 */
export class FillThread {
  readonly #thread: Thread<FillOrder, FillAnswer, FillWord>;

  /** `onBytes` gets the bytes of files that were read, as they come. */
  constructor(shard: ShardToFill, onBytes: (bytes: number) => void) {
    const what = `that packs ${shard.path}`;
    this.#thread = new Thread({ main: new URL('./main', import.meta.url), what, code: 'CAPTURE_FAILED', data: shard, onWord: onBytes });
  }

  /** Packs a file or several. Gives those that were there. */
  async add(order: Exclude<FillOrder, { kind: 'plain' | 'end' }>): Promise<readonly FilledFile[]> {
    const answer = await this.#thread.ask(order);
    if (answer === undefined || !('files' in answer)) throw new Error('a thread that packs gave no files');
    return answer.files;
  }

  /** Adds directories and links; no files follow. */
  async addPlain(entries: Extract<FillOrder, { kind: 'plain' }>['entries']): Promise<void> {
    await this.#thread.ask({ kind: 'plain', entries });
  }

  /** Ends the shard. */
  async finish(): Promise<StoredFile> {
    const answer = await this.#thread.ask({ kind: 'end' });
    if (answer === undefined || !('stored' in answer)) throw new Error('a thread that packs did not say what it has written');
    return answer.stored;
  }

  /** Ends the thread, whatever it is at. Repeatable, never throws. */
  end(reason?: unknown): Promise<void> {
    return this.#thread.end(reason);
  }
}
