import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';

const OPERATIONS = [
  ...[
    'append',
    'overwrite',
    'overwrite',
    'overwrite',
    'overwrite twice',
    'overwrite and set back',
    'truncate',
    'grow',
    'rename',
    'rename over',
  ],
  ...['unlink', 'create', 'create', 'mkdir', 'rmdir', 'chmod', 'chown', 'link', 'file to directory', 'overwrite large', 'truncate large'],
] as const;

/** One thing that a writer does, to whatever `pick` means then. */
export interface Operation {
  readonly kind: (typeof OPERATIONS)[number];
  readonly pick: number;
  readonly size: number;
  readonly byte: number;
}

export const operations = (most: number): fc.Arbitrary<Operation[]> =>
  fc.array(
    fc.record({
      kind: fc.constantFrom(...OPERATIONS),
      pick: fc.nat(1000),
      size: fc.oneof(
        { weight: 6, arbitrary: fc.nat(300) },
        { weight: 3, arbitrary: fc.nat(20_000) },
        { weight: 1, arbitrary: fc.integer({ min: 1_000_000, max: 1_200_000 }) },
      ),
      byte: fc.nat(255),
    }),
    { minLength: 1, maxLength: most },
  );

const LARGE = '000.dir/LARGE.cdf';
const LARGE_BYTES = 9 * 1024 * 1024 + 4321;

/** A dbroot to begin with: small files, one of a MiB, and one that is taken by blocks. */
export function begin(root: string): void {
  for (const directory of ['000.dir/001.dir', '000.dir/002.dir', 'bulkRollback']) mkdirSync(join(root, directory), { recursive: true });
  for (let index = 0; index < 9; index++)
    writeFileSync(join(root, `000.dir/00${(index % 2) + 1}.dir/FILE00${index}.cdf`), `${index}`.repeat(index * 100));
  writeFileSync(join(root, '000.dir/MIDDLE.cdf'), Buffer.alloc(1_100_000, 'm'));
  writeFileSync(join(root, LARGE), Buffer.alloc(LARGE_BYTES, 'l'));
}

/** All writes are of other bytes than the ones before. */
let counter = 0;

/** Does one thing; what makes no sense at the moment is left. */
export function operate(root: string, { kind, pick, size, byte }: Operation): void {
  counter += 1;
  const bytes = Buffer.alloc(Math.max(1, size), `${counter} ${byte};`);
  const { files, directories } = listed(root);
  const file = files[pick % Math.max(1, files.length)];
  const directory = directories[pick % directories.length] ?? root;
  const fresh = join(directory, `N${pick % 40}`);
  try {
    if (kind === 'create') writeFileSync(fresh, bytes);
    if (kind === 'mkdir') mkdirSync(fresh);
    if (kind === 'link') symlinkSync(`somewhere/${byte}`, fresh);
    if (kind === 'rmdir' && directory !== root) rmSync(directory, { recursive: true });
    if (kind === 'overwrite large') overwrite(join(root, LARGE), bytes.subarray(0, 1000), (pick * 9973) % LARGE_BYTES);
    if (kind === 'truncate large') truncateSync(join(root, LARGE), LARGE_BYTES - 1_500_000 + pick * 2000);
    if (file !== undefined) change(file, kind, bytes, { fresh, byte });
  } catch (error) {
    // A path may be something else by now: a directory in the place of a file, or nothing.
    if (!['ENOENT', 'EEXIST', 'EISDIR', 'ENOTDIR', 'ENOTEMPTY', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

function change(
  file: string,
  kind: Operation['kind'],
  bytes: Buffer,
  { fresh, byte }: { readonly fresh: string; readonly byte: number },
): void {
  const { size, atimeMs, mtimeMs } = statSync(file);
  const within = bytes.subarray(0, Math.min(bytes.length, size));
  const at = size <= within.length ? 0 : byte % (size - within.length);
  // The disk is small.
  if (kind === 'append') appendFileSync(file, size < 2_000_000 ? bytes : bytes.subarray(0, 100));
  if (kind === 'overwrite' || kind === 'overwrite twice') overwrite(file, within, at);
  if (kind === 'overwrite twice')
    overwrite(
      file,
      within.map((value) => value ^ 0x55),
      at,
    );
  if (kind === 'overwrite and set back') {
    overwrite(file, within, at);
    utimesSync(file, atimeMs / 1000, mtimeMs / 1000);
  }
  if (kind === 'truncate') truncateSync(file, Math.floor(size / 2));
  if (kind === 'grow') truncateSync(file, size + byte);
  if (kind === 'rename') renameSync(file, fresh);
  if (kind === 'rename over') {
    writeFileSync(`${file}.new`, within);
    renameSync(`${file}.new`, file);
  }
  if (kind === 'unlink') rmSync(file);
  if (kind === 'chmod') chmodSync(file, 0o600 + (byte % 64));
  if (kind === 'chown' && process.getuid?.() === 0) chownSync(file, 1000 + byte, 2000 + byte);
  if (kind === 'file to directory') {
    rmSync(file);
    mkdirSync(file);
    writeFileSync(join(file, 'within'), bytes);
  }
}

function overwrite(path: string, bytes: Uint8Array, at: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

function listed(root: string): { readonly files: string[]; readonly directories: string[] } {
  const files: string[] = [];
  const directories = [root];
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && path !== join(root, LARGE)) files.push(path);
    if (entry.isDirectory()) directories.push(path);
  }
  return { files: files.sort(), directories: directories.sort() };
}

/** Carries out some of it again and again for a while, or until work has ended, however it ends: that is for the caller to wait for. */
export async function keepWriting(root: string, some: readonly Operation[], work: Promise<unknown>, forMs: number): Promise<void> {
  const until = performance.now() + forMs;
  let isOver = false;
  const end = (): void => {
    isOver = true;
  };
  work.then(end, end);
  for (let index = 0; !isOver && performance.now() < until; index += 1) {
    const operation = some[index % some.length];
    if (operation !== undefined) operate(root, operation);
    await turn();
  }
}
