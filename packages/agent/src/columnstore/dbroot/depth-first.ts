import type { ScannedEntry } from './entry.ts';
import { entryOfLine, lineOf } from './line.ts';
import { LinesFile } from './lines-file.ts';

/** Entries that are in memory at once: there may be as many directories as columns. */
const RUN = 16_384;

/**
 * Entries in the order in which tar leaves directories as they were: each directly before all that lies in it. It sets the time of one as soon as it comes to
 * something that lies elsewhere; whatever it puts into it after that changes the time again. Kept in a new file, whose name others beside it begin with
 * meanwhile. Throws what `entries` throws, DISK_FULL or the system's error.
 */
export async function depthFirst(entries: AsyncIterable<ScannedEntry>, path: string, run = RUN): Promise<LinesFile> {
  const runs: LinesFile[] = [];
  let some: ScannedEntry[] = [];
  const keep = async (): Promise<void> => {
    runs.push(await keepRun(some, `${path}.${runs.length}`));
    some = [];
  };
  try {
    for await (const entry of entries) {
      some.push(entry);
      if (some.length >= run) await keep();
    }
    if (runs.length === 0) return await keepRun(some, path);
    await keep();
    return await merge(runs, path);
  } finally {
    for (const file of runs) await file.remove();
  }
}

async function keepRun(entries: ScannedEntry[], path: string): Promise<LinesFile> {
  const places = new Map(entries.map((entry) => [entry, placeOf(entry)]));
  const before = (one: ScannedEntry, other: ScannedEntry): number => ((places.get(one) ?? '') < (places.get(other) ?? '') ? -1 : 1);
  return keep(entries.sort(before), path);
}

async function keep(entries: Iterable<ScannedEntry> | AsyncIterable<ScannedEntry>, path: string): Promise<LinesFile> {
  const file = await LinesFile.create(path);
  try {
    for await (const entry of entries) await file.add(lineOf(entry));
    await file.flush();
  } finally {
    await file.close();
  }
  return file;
}

const merge = (runs: readonly LinesFile[], path: string): Promise<LinesFile> => keep(merged(runs.map((file) => new Head(file))), path);

async function* merged(heads: readonly Head[]): AsyncGenerator<ScannedEntry> {
  for (const head of heads) await head.next();
  for (;;) {
    let first: Head | undefined;
    for (const head of heads) if (head.entry !== undefined && (first === undefined || head.place < first.place)) first = head;
    if (first?.entry === undefined) return;
    yield first.entry;
    await first.next();
  }
}

/** What comes next of a run. */
class Head {
  entry: ScannedEntry | undefined;
  place = '';
  readonly #lines: AsyncGenerator<string>;

  constructor(file: LinesFile) {
    this.#lines = file.lines();
  }

  async next(): Promise<void> {
    const { value, done } = await this.#lines.next();
    this.entry = done === true ? undefined : entryOfLine(value);
    this.place = this.entry === undefined ? '' : placeOf(this.entry);
  }
}

/** Sorts what lies in a directory behind it and before whatever lies beside it. No name has such a character. */
const placeOf = ({ path }: ScannedEntry): string => path.replaceAll('/', '\0');
