import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonValue } from '@bufbuild/protobuf';
import { errnoOf } from '@stillpoint/shared/errors';
import { syncDirectory } from '../host/index.ts';

/** What an operation did on this node, one line each. */
export type JournalEntry =
  | { readonly type: 'claimed'; readonly at: string; readonly kind: string; readonly owner: string }
  | { readonly type: 'task-started'; readonly at: string; readonly taskId: string; readonly spec: JsonValue }
  | { readonly type: 'task-ended'; readonly at: string; readonly taskId: string; readonly ended: JsonValue }
  | { readonly type: 'held'; readonly at: string; readonly waitedMs: number }
  | { readonly type: 'suspended'; readonly at: string; readonly controllerPid: number }
  | { readonly type: 'resumed'; readonly at: string; readonly tookMs: number; readonly stuckLocks: readonly string[] }
  | { readonly type: 'not-resumed'; readonly at: string; readonly reason: string }
  | { readonly type: 'let-go'; readonly at: string; readonly blockedMs: number; readonly reason: string }
  | { readonly type: 'committed'; readonly at: string; readonly setId: string }
  | { readonly type: 'released'; readonly at: string };

/** Durable record of the operations of this node: a file of JSON lines for each, below the agent's state directory. */
export interface Journal {
  /** Appends an entry; it is on disk when this returns. */
  append(operationId: string, entry: JournalEntry): Promise<void>;
  /** What was recorded of an operation; nothing for an unknown one. */
  read(operationId: string): Promise<readonly JournalEntry[]>;
  /** Operations on record, oldest first. */
  operations(): Promise<readonly string[]>;
  /** Forgets what is older than `days` and all but the newest `keep`. */
  prune(options: { readonly days: number; readonly keep: number; readonly now: Date }): Promise<void>;
}

const SUFFIX = '.jsonl';
const DAY_MS = 86_400_000;

const directoryOf = (stateDir: string): string => join(stateDir, 'operations');

/** When the journal below a state directory was last written to, milliseconds since 1970; 0 when it never was. */
export async function lastRecordedMs(stateDir: string): Promise<number> {
  return (await aged(directoryOf(stateDir))).at(-1)?.mtimeMs ?? 0;
}

/** Opens the journal; its directory is made if need be. */
export async function openJournal(stateDir: string): Promise<Journal> {
  const directory = directoryOf(stateDir);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const fileOf = (operationId: string): string => join(directory, `${operationId}${SUFFIX}`);
  // Entries of one operation are written one after the other, in the order in which they were given.
  let last: Promise<void> = Promise.resolve();

  const append = (operationId: string, entry: JournalEntry): Promise<void> => {
    const written = last.then(() => appendLine(fileOf(operationId), JSON.stringify(entry), directory));
    last = written.catch(() => undefined);
    return written;
  };
  return {
    append,
    read: (operationId) => readEntries(fileOf(operationId)),
    operations: async () => (await aged(directory)).map(({ operationId }) => operationId),
    prune: async ({ days, keep, now }) => {
      const files = await aged(directory);
      const old = files.filter((file, index) => now.getTime() - file.mtimeMs > days * DAY_MS || index < files.length - keep);
      await Promise.all(old.map(({ operationId }) => rm(fileOf(operationId), { force: true })));
    },
  };
}

interface JournalFile {
  readonly operationId: string;
  readonly mtimeMs: number;
}

/** The files of a journal, the one that was written to longest ago first. */
async function aged(directory: string): Promise<readonly JournalFile[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(SUFFIX));
  const files = await Promise.all(
    names.map(async (name) => ({ operationId: name.slice(0, -SUFFIX.length), mtimeMs: (await stat(join(directory, name))).mtimeMs })),
  );
  return files.sort((a, b) => a.mtimeMs - b.mtimeMs);
}

async function appendLine(path: string, line: string, directory: string): Promise<void> {
  const file = await open(path, 'a+', 0o600);
  try {
    const { size } = await file.stat();
    // A crash in the middle of an append leaves half a line, which must not swallow this one.
    const torn = size > 0 && (await file.read({ position: size - 1, length: 1, buffer: Buffer.alloc(1) })).buffer[0] !== 0x0a;
    await file.write(`${torn ? '\n' : ''}${line}\n`);
    await file.sync();
    if (size === 0) await syncDirectory(directory);
  } finally {
    await file.close();
  }
}

async function readEntries(path: string): Promise<readonly JournalEntry[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as JournalEntry];
    } catch {
      // Half a line of a crash (or the empty one at the end): what it would have said did not happen durably.
      return [];
    }
  });
}
