import { open, readdir, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { type ConfigurationFile, LAYOUT, type Shard, sha256Of, shardNamed } from '@stillpoint/shared/manifest';
import { pack } from 'tar-stream';
import { fileKeyFor } from '../encryption/index.ts';
import { accountName } from '../host/index.ts';
import { backLauncher } from '../priority/words.ts';
import { ProgramFailure, startProgram } from '../process/index.ts';
import { storeStream } from './stored-file.ts';
import type { Storing } from './storing.ts';

/** The configuration of a node, packed. */
export interface PackedConfiguration {
  /** Undefined when there was nothing to pack. */
  readonly shard: Shard | undefined;
  readonly files: readonly ConfigurationFile[];
}

interface ReadFile {
  readonly file: ConfigurationFile;
  readonly data: Buffer;
  readonly uid: number;
  readonly gid: number;
}

/** Belong to one server and must not come to life in another. */
const LEFT_OUT = new Set(['auto.cnf', 'server_uuid']);
/** Beyond this a file is no configuration. */
const LARGEST_FILE = 16 * 1024 * 1024;

/**
 * Packs configuration files into the part. Directories are taken with everything below them; a link is followed, and what
 * it leads to is stored under its real name when that is configured too. `note` is told what was left out;
 * what is only to be taken if it is there is not missed elsewhere. With recipients the archive is encrypted for them.
 * Throws CAPTURE_FAILED, DISK_FULL, the system's error or the signal's reason.
 */
export async function packConfiguration(
  paths: readonly string[],
  part: string,
  note: (message: string) => void,
  signal: AbortSignal,
  ifThere: readonly string[] = [],
  storing: Pick<Storing, 'recipients' | 'priority'> = { recipients: [], priority: undefined },
): Promise<PackedConfiguration> {
  const roots = [...paths, ...ifThere].map((path) => resolve(path));
  const found = new Set<string>();
  for (const [index, root] of roots.entries()) {
    const missed = index < paths.length ? note : () => {};
    for (const path of await filesOf(root, missed)) found.add(await nameOf(path, roots));
  }
  const files: ReadFile[] = [];
  for (const path of [...found].sort()) {
    signal.throwIfAborted();
    const file = await readConfiguration(path, note);
    if (file !== undefined) files.push(file);
  }
  const shard = files.length === 0 ? undefined : await storeArchive(files, part, storing, signal);
  return { shard, files: files.map(({ file }) => file) };
}

/** Files of a configured path; none when it is missing. */
async function filesOf(root: string, note: (message: string) => void): Promise<string[]> {
  try {
    const entries = await readdir(root, { withFileTypes: true, recursive: true });
    return entries.filter((entry) => entry.isFile() || entry.isSymbolicLink()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') return [root];
    if (code !== 'ENOENT') throw error;
    note(`The configured path ${root} does not exist`);
    return [];
  }
}

async function nameOf(path: string, roots: readonly string[]): Promise<string> {
  const real = await realpath(path).catch(() => path);
  return roots.some((root) => real === root || real.startsWith(`${root}/`)) ? real : path;
}

async function readConfiguration(path: string, note: (message: string) => void): Promise<ReadFile | undefined> {
  if (LEFT_OUT.has(path.slice(path.lastIndexOf('/') + 1))) return undefined;
  const handle = await open(path, 'r').catch((error: unknown) => {
    note(`The configuration file ${path} was left out: ${(error as Error).message}`);
    return undefined;
  });
  if (handle === undefined) return undefined;
  try {
    const stats = await handle.stat();
    const { mode, uid, gid, mtime, size } = stats;
    if (!stats.isFile()) return undefined;
    if (size > LARGEST_FILE) {
      note(`The configuration file ${path} was left out: it has ${size} bytes`);
      return undefined;
    }
    const data = await handle.readFile();
    const [owner = '', group = ''] = (await accountName({ uid, gid })).split(':');
    const permissions = (mode & 0o7777).toString(8).padStart(4, '0');
    const file = { path, bytes: data.length, mode: permissions, owner, group, mtime: mtime.toISOString(), sha256: sha256Of(data) };
    return { file, data, uid, gid };
  } finally {
    await handle.close();
  }
}

async function storeArchive(
  files: readonly ReadFile[],
  part: string,
  { recipients, priority }: Pick<Storing, 'recipients' | 'priority'>,
  signal: AbortSignal,
): Promise<Shard> {
  const named = shardNamed(LAYOUT.configuration, 'tar+zstd', recipients.length > 0);
  const key = await fileKeyFor(recipients);
  const zstd = startProgram('zstd', ['-q', '-c'], { stdin: 'pipe', stdout: 'pipe', signal, launcher: await backLauncher(priority) });
  if (zstd.stdin === undefined || zstd.stdout === undefined) throw new Error('startProgram gave no pipes although they were asked for');
  const archive = pack();
  // Whoever waits for zstd learns from its exit why it went away.
  zstd.stdin.on('error', () => archive.destroy());
  archive.pipe(zstd.stdin);
  for (const { file, data, uid, gid } of files) {
    const header = { name: file.path.slice(1), mode: Number.parseInt(file.mode, 8), mtime: new Date(file.mtime), size: data.length };
    archive.entry({ ...header, uid, gid, uname: file.owner, gname: file.group }, data);
  }
  archive.finalize();
  const [stored, ended] = await Promise.allSettled([storeStream(zstd.stdout, join(part, named.name), { key }), zstd.done]);
  signal.throwIfAborted();
  if (stored.status === 'rejected') throw stored.reason;
  if (ended.status === 'rejected') throw packFailure(ended.reason);
  const { bytes, sha256 } = stored.value;
  return { ...named, content: 'configuration', storedBytes: bytes, sha256 };
}

const packFailure = (reason: unknown): unknown =>
  reason instanceof ProgramFailure
    ? new StillpointError('CAPTURE_FAILED', `The configuration could not be packed: ${reason.message}: ${reason.lastLines(3)}`, {
        cause: reason,
      })
    : reason;
