import { mkdir, realpath, rm } from 'node:fs/promises';
import { basename, dirname, join, posix } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { type ConfigurationFile, type PartManifest, sha256Of } from '@stillpoint/shared/manifest';
import { extract } from 'tar-stream';
import { gidOf, ownAccount, uidOf, writeFileDurably } from '../host/index.ts';
import { startProgram } from '../process/index.ts';
import { readInto } from '../repository/index.ts';
import { checkBytes, programFailure } from './extract.ts';
import { openerOf, type PartSource } from './source.ts';
import type { PendingFile } from './state.ts';

/** True when a file is, or lies in, one of the paths that the agent's configuration lists. */
const isConfigured = (path: string, configured: readonly string[]): boolean =>
  configured.some((root) => path === root || path.startsWith(root.endsWith('/') ? root : `${root}/`));

/** What becomes of a configuration file of a part, by its path; undefined for one that is not put back. */
export type HowToPutBack = (path: string) => PendingFile['how'] | undefined;

/** Files that the agent's configuration lists replace what is found; those of the engine have rules of their own. */
export const howToPutBack =
  (configured: readonly string[], ofEngine: ReadonlyMap<string, PendingFile['how']>): HowToPutBack =>
  (path) =>
    ofEngine.get(path) ?? (isConfigured(path, configured) ? 'replace' : undefined);

/**
 * Copies the configuration files of a part below the state directory, from where the switch puts them back. `skipped` gets those that
 * are not put back.
 * Throws PART_CORRUPT, STAGE_FAILED or the signal's reason.
 */
export async function copyConfiguration(
  source: PartSource,
  copies: string,
  how: HowToPutBack,
  signal: AbortSignal,
): Promise<{ readonly files: PendingFile[]; readonly skipped: string[] }> {
  const { part } = source;
  await rm(copies, { recursive: true, force: true });
  await mkdir(copies, { recursive: true, mode: 0o700 });
  const wanted = part.configuration.filter(({ path }) => how(path) !== undefined);
  const skipped = part.configuration.filter((file) => !wanted.includes(file)).map(({ path }) => path);
  const contents = await readConfiguration(source, wanted, signal);
  const files: PendingFile[] = [];
  for (const [index, file] of wanted.entries()) {
    const data = contents.get(file.path);
    if (data === undefined)
      throw new StillpointError('PART_CORRUPT', `The configuration of ${part.node} lacks ${file.path}, which part.json lists`);
    const copy = join(copies, `${index}-${basename(file.path)}`);
    await writeFileDurably(copy, data);
    const common = { path: file.path, copy, mode: Number.parseInt(file.mode, 8), owner: await ownerOfFile(file) };
    files.push({ ...common, how: how(file.path) ?? 'replace' });
  }
  return { files, skipped };
}

/** Names are looked up here: numbers differ from host to host. One that is unknown here becomes ours. */
async function ownerOfFile({ owner, group }: ConfigurationFile): Promise<{ uid: number; gid: number }> {
  const own = ownAccount();
  if (own.uid !== 0) return own;
  const [uid, gid] = await Promise.all([uidOf(owner), gidOf(group)]);
  return { uid: uid ?? own.uid, gid: gid ?? own.gid };
}

/**
 * Content of the wanted files, by path, each compared with its digest. Nothing is extracted by name: no entry can lead anywhere.
 * Throws PART_CORRUPT, KEY_MISSING, STAGE_FAILED or the signal's reason.
 */
export async function readConfiguration(
  source: PartSource,
  wanted: readonly ConfigurationFile[],
  signal: AbortSignal,
): Promise<Map<string, Buffer>> {
  if (wanted.length === 0) return new Map();
  const shard = shardOf(source.part);
  const byPath = new Map(wanted.map((file) => [file.path, file]));
  const contents = new Map<string, Buffer>();
  const zstd = startProgram('zstd', ['-dc', '-q'], { stdin: 'pipe', stdout: 'pipe', signal });
  if (zstd.stdin === undefined || zstd.stdout === undefined) throw new Error('startProgram gave no pipes although they were asked for');
  const archive = extract();
  archive.on('entry', (header, stream, next) => {
    const path = posix.normalize(`/${header.name}`);
    if (header.type !== 'file' || !byPath.has(path)) {
      stream.resume();
      stream.on('end', next);
      return;
    }
    void buffer(stream).then((data) => {
      contents.set(path, data);
      next();
    }, next);
  });
  const [read, unpacked, decoded] = await Promise.allSettled([
    // Without an end of its input, zstd would wait for ever.
    readInto(source.read(shard, signal), zstd.stdin, () => {}, openerOf(source, shard)).catch((thrown: unknown) => {
      zstd.kill();
      throw thrown;
    }),
    pipeline(zstd.stdout, archive),
    zstd.done,
  ]);
  signal.throwIfAborted();
  if (read.status === 'rejected') throw read.reason;
  checkBytes(source, shard, read.value);
  for (const end of [decoded, unpacked])
    if (end.status === 'rejected') throw programFailure('STAGE_FAILED', `${shard.name} could not be unpacked`, [end.reason]);
  for (const [path, data] of contents) {
    if (sha256Of(data) !== byPath.get(path)?.sha256)
      throw new StillpointError('PART_CORRUPT', `${path} in ${shard.name} is not what part.json says`);
  }
  return contents;
}

function shardOf({ shards, node }: PartManifest) {
  const shard = shards.find(({ content }) => content === 'configuration');
  if (shard === undefined) throw new StillpointError('PART_CORRUPT', `The part of ${node} lists configuration files and has none`);
  return shard;
}

/** Names of a configuration file while it is exchanged. None ends in .cnf, so that no server reads them. */
export const besideFile = (path: string, operationId: string) => ({
  /** What is about to be put back. */
  coming: join(dirname(path), `.${basename(path)}.stillpoint-${operationId}`),
  /** What was found there. */
  found: `${path}.found-${operationId}`,
  /** What was put back, after a rollback. */
  undone: `${path}.undone-${operationId}`,
});

/** Throws RESTORE_REFUSED when a path, followed through links, does not lie in what the agent's configuration lists. */
export async function refuseEscape(path: string, configured: readonly string[]): Promise<void> {
  const directory = await realpath(dirname(path)).catch(() => dirname(path));
  const roots = await Promise.all(configured.map((root) => realpath(root).catch(() => root)));
  const real = join(directory, basename(path));
  if (isConfigured(real, roots) || isConfigured(real, configured)) return;
  throw new StillpointError('RESTORE_REFUSED', `${path} leads to ${real}, which is outside of what this agent's configuration lists`);
}
