import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { runProgram } from '../../../process/index.ts';
import type { CapturedDbroot } from '../described.ts';
import { packImage } from '../image.ts';
import { beginIncrement } from '../increment/begin.ts';
import type { Increment } from '../increment/increment.ts';
import { restlessFiles } from '../rules.ts';
import { type KeptScan, keepScan } from '../scan-file.ts';
import { type ScanThreads, scansOf } from '../scanning/scan-threads.ts';
import { requireUnmovedSince } from '../scanning/unmoved.ts';
import type { DbrootToCapture, DbrootWork, StagedDbroot } from '../staged.ts';
import { clonesIn, findClonePlace } from './place.ts';

interface Cloned {
  readonly lookedAtMs: number;
  readonly scan: KeptScan;
}

/**
 * A dbroot whose files are cloned inside the still point, and packed from the clones afterwards: how long that takes depends on how many files there are,
 * not on how large they are. To be discarded on every path: what is cloned takes space as soon as the original is written.
 */
export class DbrootReflink implements StagedDbroot {
  readonly #options: DbrootToCapture;
  readonly #restless: ReadonlySet<string>;
  readonly #scans: ScanThreads;
  #begun: Promise<Increment | undefined> | undefined;
  #clones: string | undefined;
  #cloned: Cloned | undefined;

  constructor(options: DbrootToCapture) {
    this.#options = options;
    this.#restless = restlessFiles(options.brmDirectory);
    this.#scans = scansOf(options);
  }

  /**
   * Has the file system write what it still keeps in memory: a file must be on disk to be cloned, and writers would wait for that. And looks at everything
   * once, so that the next look finds threads and names in memory. Throws CAPTURE_FAILED, or the signal's reason.
   */
  async precopy({ signal, note }: DbrootWork): Promise<{ readonly bytes: number; readonly changedBytes: number }> {
    const { path, root } = this.#options;
    await this.#place();
    await this.#scans.scan({ tell: 'nothing', isAlive: true, signal });
    await runProgram('sync', ['-f', root], { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      note(`${path} could not be written out before the still point: ${(error as Error).message}`);
    });
    return { bytes: 0, changedBytes: 0 };
  }

  /** Inside the still point. Throws CAPTURE_MOVED, CAPTURE_FAILED, DISK_FULL, the system's error or the signal's reason. */
  async take({ note, signal }: DbrootWork): Promise<void> {
    const { number, part, path } = this.#options;
    const cloneTo = await this.#place();
    const lookedAtMs = Date.now();
    await rm(cloneTo, { recursive: true, force: true });
    await mkdir(cloneTo, { mode: 0o700 });
    const scan = await keepScan(join(part, `.dbroot${number}.scan`), this.#scans, { cloneTo, isAlive: false, note, signal });
    await requireUnmovedSince(scan.found, this.#scans, path, signal, { all: scan.all, restless: this.#restless });
    this.#cloned = { lookedAtMs, scan };
  }

  /** After it. Throws CAPTURE_FAILED, DISK_FULL, the system's error or the signal's reason. */
  async finish({ note, onBytes, onFound, signal }: DbrootWork): Promise<CapturedDbroot> {
    if (this.#cloned === undefined || this.#clones === undefined) throw new Error('an image is finished that was not taken');
    const { lookedAtMs, scan } = this.#cloned;
    const { level, number, part, path, recipients, shards } = this.#options;
    await this.#scans.end();
    onFound(scan.found.bytes);
    const increment = await this.#increments({ signal, note });
    const image = await packImage({
      ...{ number, path, root: this.#clones, isCopy: true, scan, lookedAtMs, increment, restless: this.#restless },
      ...{ part, shards, level, recipients, onBytes, signal },
    });
    await Promise.all([scan.remove(), this.#removeClones()]);
    increment?.remove();
    return image;
  }

  async discard(): Promise<void> {
    await this.#scans.end();
    (await this.#begun?.catch(() => undefined))?.remove();
    await this.#removeClones().catch(() => undefined);
  }

  /** What the parent has, if there is one. */
  #increments(work: Pick<DbrootWork, 'note' | 'signal'>): Promise<Increment | undefined> {
    this.#begun ??= beginIncrement(this.#options, work);
    return this.#begun;
  }

  /** Where the clones go. Throws CAPTURE_FAILED when there is no such place. */
  async #place(): Promise<string> {
    if (this.#clones !== undefined) return this.#clones;
    const { part, path, root } = this.#options;
    const place = await findClonePlace(root, part);
    if ('obstacle' in place) {
      throw new StillpointError('CAPTURE_FAILED', `The dbroot ${path} cannot be captured by reflink: ${place.obstacle}`, {
        hint: 'With `--capture auto` each node does the best it can.',
      });
    }
    this.#clones = clonesIn(place.parent, this.#options);
    return this.#clones;
  }

  async #removeClones(): Promise<void> {
    if (this.#clones !== undefined) await rm(this.#clones, { recursive: true, force: true });
  }
}
