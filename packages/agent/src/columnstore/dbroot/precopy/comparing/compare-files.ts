import type { ListedFile } from '@stillpoint/shared/manifest';
import { Thread } from '../../../../thread/index.ts';
import { onAll } from '../../scanning/scans.ts';
import type { CompareAnswer, Compared, CompareOrder, CompareWord } from './orders.ts';

/** A file that is on record, by the number of its line. */
export interface KnownFile {
  readonly number: number;
  readonly file: ListedFile;
}

/** Files to compare, and by how many threads. */
export interface Comparing {
  /** The dbroot, with no link on the way to it. */
  readonly root: string;
  readonly files: AsyncGenerator<KnownFile>;
  readonly threads: number;
  /** Gets what was read, as it comes; not for what is gone. */
  readonly onCompared: (known: KnownFile, compared: Compared) => Promise<void>;
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Files of an order at most, and bytes. */
const MOST_FILES = 64;
const MOST_BYTES = 4 * 1024 * 1024;

/**
 * Reads files that may be written meanwhile, to see which of them have the content that is on record. Throws CAPTURE_FAILED, what `onCompared` throws, or
 * the signal's reason.
 */
export async function compareFiles({ files, onBytes, onCompared, root, signal, threads }: Comparing): Promise<void> {
  signal.throwIfAborted();
  const batches = batchesOf(files);
  const main = new URL('./main', import.meta.url);
  const start = { main, what: `that compares ${root}`, code: 'CAPTURE_FAILED', data: root, onWord: onBytes } as const;
  const all = Array.from({ length: threads }, () => new Thread<CompareOrder, CompareAnswer, CompareWord>(start));
  try {
    await onAll(all, signal, async (thread) => {
      for (let next = await batches.next(); !next.done; next = await batches.next()) {
        const answer = await thread.ask(next.value.map(({ file: { path, sha256 } }) => ({ path, sha256 })));
        for (const [index, known] of next.value.entries()) {
          const compared = answer[index];
          if (compared !== undefined) await onCompared(known, compared);
        }
      }
    });
  } finally {
    await Promise.all(all.map((thread) => thread.end()));
    await batches.return(undefined);
  }
}

async function* batchesOf(files: AsyncGenerator<KnownFile>): AsyncGenerator<readonly KnownFile[]> {
  let batch: KnownFile[] = [];
  let bytes = 0;
  for await (const known of files) {
    batch.push(known);
    bytes += known.file.size;
    if (bytes < MOST_BYTES && batch.length < MOST_FILES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}
