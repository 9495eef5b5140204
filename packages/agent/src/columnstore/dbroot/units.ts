import type { ScannedEntry } from './entry.ts';

/** A file of this size and more is a frame by itself; frames of smaller ones are about as large. */
const FRAME_BYTES = 1024 * 1024;
/** Files in one frame, however small they are. */
const MOST_FILES = 256;

/** What one frame is made of. */
export type Unit =
  | { readonly kind: 'alone'; readonly file: ScannedEntry }
  | { readonly kind: 'together'; readonly files: readonly ScannedEntry[] };

/** Cuts the files of a scan into frames. Those in `inMemory` never stand alone: their size is not known before they are read. */
export async function* unitsOf(entries: AsyncIterable<ScannedEntry>, inMemory: ReadonlySet<string>): AsyncGenerator<Unit> {
  let files: ScannedEntry[] = [];
  let bytes = 0;
  for await (const entry of entries) {
    if (entry.type !== 'file') continue;
    if (entry.size >= FRAME_BYTES && !inMemory.has(entry.path)) {
      yield { kind: 'alone', file: entry };
      continue;
    }
    files.push(entry);
    bytes += entry.size;
    if (bytes < FRAME_BYTES && files.length < MOST_FILES) continue;
    yield { kind: 'together', files };
    files = [];
    bytes = 0;
  }
  if (files.length > 0) yield { kind: 'together', files };
}
