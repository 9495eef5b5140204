import type { StoredFile } from '../../../archive/index.ts';
import { Thread } from '../../../thread/index.ts';
import type { NamedEntry } from '../named.ts';
import type { ScanAnswer, ScanOrder } from '../scanning/orders.ts';
import type { Looker } from '../scanning/scans.ts';
import type { PackAnswer, PackOrder, PackWord, ShardToPack } from './orders.ts';

/**
 * A thread that packs one shard: it reads, hashes, compresses and writes by itself. All throw CAPTURE_MOVED, CAPTURE_FAILED (also when the
 * thread has died), DISK_FULL, the system's error, or the reason of its end.
 */
export class PackThread implements Looker {
  readonly #thread: Thread<PackOrder, PackAnswer, PackWord>;

  /** `onBytes` gets the bytes of files that were read, as they come. */
  constructor(shard: ShardToPack, onBytes: (bytes: number) => void) {
    this.#thread = new Thread({
      main: new URL('./main', import.meta.url),
      what: `that packs ${shard.path}`,
      code: 'CAPTURE_FAILED',
      data: shard,
      onWord: onBytes,
    });
  }

  /** Packs a file or several. Gives their lines of the list. */
  async add(order: Extract<PackOrder, { kind: 'alone' | 'together' }>): Promise<Uint8Array> {
    const answer = await this.#thread.ask(order);
    if (answer === undefined || !('lines' in answer)) throw new Error('a thread that packs gave no lines');
    return answer.lines;
  }

  /** Adds directories and links; no files follow. */
  async addPlain(entries: readonly NamedEntry[]): Promise<void> {
    await this.#thread.ask({ kind: 'plain', entries });
  }

  /** Looks into directories. */
  async look(order: ScanOrder): Promise<ScanAnswer> {
    const answer = await this.#thread.ask(order);
    if (answer === undefined || !('digest' in answer)) throw new Error('a thread that packs did not say what it has seen');
    return answer;
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
