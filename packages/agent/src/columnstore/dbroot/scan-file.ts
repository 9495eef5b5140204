import { depthFirst } from './depth-first.ts';
import type { ScannedEntry } from './entry.ts';
import { entryOfLine } from './line.ts';
import { LinesFile } from './lines-file.ts';
import type { Found, Looking } from './scanning/orders.ts';
import type { Scans } from './scanning/scans.ts';

/** A scan, kept on disk: a dbroot may hold more than fits into memory. */
export interface KeptScan {
  readonly found: Found;
  /** All of it, in no order. Throws the system's error. */
  all(): AsyncGenerator<ScannedEntry>;
  /** Its directories and links alone, as `depthFirst` has them. Throws DISK_FULL or the system's error. */
  plain(): AsyncGenerator<ScannedEntry>;
  remove(): Promise<void>;
}

/** How to look. */
interface Keeping extends Pick<Looking, 'cloneTo' | 'isAlive'> {
  /** Gets a sentence for whatever is left out. */
  readonly note: (message: string) => void;
  readonly signal: AbortSignal;
}

/** Looks at everything, and keeps it in new files that begin with `path`. Throws what `scanOn` throws, DISK_FULL, or the system's error. */
export async function keepScan(path: string, scans: Scans, { note, ...looking }: Keeping): Promise<KeptScan> {
  const [all, plain] = [await LinesFile.create(`${path}.all`), await LinesFile.create(`${path}.plain`)];
  try {
    const found = await scans.scan({
      ...looking,
      tell: 'all',
      onAnswer: async (answer) => {
        for (const sentence of answer.notes) note(sentence);
        await Promise.all([all.addBytes(answer.lines), plain.addBytes(answer.plain)]);
      },
    });
    return new ScanFiles(path, found, all, plain);
  } finally {
    await Promise.all([all.close(), plain.close()]);
  }
}

class ScanFiles implements KeptScan {
  readonly found: Found;
  readonly #path: string;
  readonly #all: LinesFile;
  readonly #plain: LinesFile;
  #inOrder: Promise<LinesFile> | undefined;

  constructor(path: string, found: Found, all: LinesFile, plain: LinesFile) {
    this.#path = path;
    this.found = found;
    this.#all = all;
    this.#plain = plain;
  }

  readonly all = (): AsyncGenerator<ScannedEntry> => entriesOf(this.#all);

  readonly plain = (): AsyncGenerator<ScannedEntry> => this.#plainInOrder();

  async *#plainInOrder(): AsyncGenerator<ScannedEntry> {
    this.#inOrder ??= depthFirst(entriesOf(this.#plain), `${this.#path}.order`);
    yield* entriesOf(await this.#inOrder);
  }

  async remove(): Promise<void> {
    const inOrder = await this.#inOrder?.catch(() => undefined);
    const files = [this.#all, this.#plain, ...(inOrder === undefined ? [] : [inOrder])];
    await Promise.all(files.map((file) => file.remove()));
  }
}

async function* entriesOf(file: LinesFile): AsyncGenerator<ScannedEntry> {
  for await (const line of file.lines()) yield entryOfLine(line);
}
