import { Writable } from 'node:stream';
import { StillpointError } from '@stillpoint/shared/errors';
import {
  type BorrowedShard,
  borrowedOf,
  decodePartManifest,
  decodeSetManifest,
  isSealed,
  LAYOUT,
  type PartManifest,
  placeOf,
  type Shard,
  sha256Of,
} from '@stillpoint/shared/manifest';
import { type Keyring, Opener, readKeyring } from '../encryption/index.ts';
import { ProgramFailure, type RunningProgram, startProgram } from '../process/index.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { type Read, readInto } from './digest.ts';
import { openRepository } from './open.ts';
import type { Repository } from './types.ts';
import { dbrootProblems, shardText, storedProblems } from './verify-dbroot.ts';

/**
 * Reads this node's part back: its manifest against set.json, every file against its size and digest, every
 * compressed file by decoding it, and every file in a dbroot against the list of them; files of other sets that it uses, too. What is wrong is the result, not an error. Of
 * encrypted files the content is looked at where this node has an identity; elsewhere the result says so.
 * Throws SET_NOT_FOUND, PART_NOT_FOUND, CONFIG_FILE_UNREADABLE for identities that cannot be read, or the signal's reason.
 */
export const verifyTask: TaskDefinition<'verify'> = {
  run: async ({ config }, { setId }, task) => {
    const keyring = () => readKeyring(config.decryption?.identityFile);
    const { bytes, problems, unopened } = await verifyPart(openRepository(config), setId, config.node, task, keyring);
    return { result: { case: 'verify', value: { bytes: BigInt(bytes), problems: [...problems], unopened } } };
  },
};

/** What was read, and what is wrong with it. */
export interface Verdict {
  readonly bytes: number;
  readonly problems: readonly string[];
  /** Why the content of encrypted files was not looked at, a sentence; empty when all of it was. */
  readonly unopened: string;
}

/** Verifies one part; see `verifyTask`. `readKeys` is asked for identities when they are needed; undefined on a node without any. */
export async function verifyPart(
  repository: Repository,
  setId: string,
  node: string,
  task: Pick<TaskContext, 'signal' | 'progress'>,
  readKeys: () => Promise<Keyring | undefined> = async () => undefined,
): Promise<Verdict> {
  const data = await repository.readPart(setId, node);
  const problems = manifestProblems(await repository.readSet(setId), data, setId, node);
  const part = decoded(() => decodePartManifest(data, LAYOUT.partManifest), problems);
  if (part === undefined) return { bytes: data.length, problems, unopened: '' };
  if (part.setId !== setId || part.node !== node) problems.push(`${LAYOUT.partManifest} is that of ${part.setId}/${part.node}`);

  const borrowed = borrowedOf(part);
  const total = [...part.shards, ...borrowed].reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  let bytes = 0;
  const onPiece = (count: number): void => {
    bytes += count;
    task.progress('verify', bytes, total);
  };
  const keyring = part.encryption === undefined ? undefined : await readKeys();
  const unopened = whyUnopened(part, keyring);
  const looked = { repository, setId, node, keyring: unopened === '' ? keyring : undefined };
  const plainly = (shard: Shard | BorrowedShard): Promise<string[]> => shardProblems(looked, shard, onPiece, task.signal);
  const dbroots = part.columnstore?.dbroots ?? [];
  const ofDbroots = new Set(dbroots.flatMap(({ shards, list }) => [...shards, list]));
  const others = [...part.shards.filter(({ name }) => !ofDbroots.has(name)), ...(part.mariadb?.chain ?? [])];
  for (const shard of others) problems.push(...(await plainly(shard)));
  for (const dbroot of dbroots) {
    const from = { repository, part, onPiece, plainly, keyring, signal: task.signal };
    problems.push(...(unopened === '' ? await dbrootProblems(from, dbroot) : await storedProblems(from, dbroot)));
  }
  return { bytes: bytes + data.length, problems, unopened };
}

function whyUnopened({ encryption, node }: PartManifest, keyring: Keyring | undefined): string {
  if (encryption === undefined || keyring?.opens(encryption.recipients)) return '';
  const has = keyring === undefined ? 'its agent has no identity' : `its agent has identities of ${keyring.recipients.join(', ')} only`;
  return `the files of ${node} are encrypted for ${encryption.recipients.join(', ')}, and ${has}`;
}

function manifestProblems(setData: Uint8Array, partData: Uint8Array, setId: string, node: string): string[] {
  const problems: string[] = [];
  const set = decoded(() => decodeSetManifest(setData, LAYOUT.setManifest), problems);
  if (set === undefined) return problems;
  const member = set.members.find((each) => each.node === node);
  if (member === undefined) return [`${LAYOUT.setManifest} of ${setId} knows no node ${node}`];
  return member.partSha256 === sha256Of(partData) ? [] : [`${LAYOUT.partManifest} differs from what ${LAYOUT.setManifest} says it is`];
}

/** What a manifest says; what is wrong with it becomes a problem. */
function decoded<T>(decode: () => T, problems: string[]): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof StillpointError)) throw error;
    problems.push(error.message);
    return undefined;
  }
}

interface Looked extends Pick<PartManifest, 'setId' | 'node'> {
  readonly repository: Repository;
  /** Undefined when nothing encrypted is to be opened. */
  readonly keyring: Keyring | undefined;
}

async function shardProblems(
  { repository, keyring, ...part }: Looked,
  shard: Shard | BorrowedShard,
  onPiece: (bytes: number) => void,
  signal: AbortSignal,
): Promise<string[]> {
  const { setId, node } = placeOf(shard, part);
  const name = shardText(shard);
  if ((await repository.shardBytes(setId, node, shard.name)) === undefined) return [`${name} is missing`];
  const pieces = repository.readShard(setId, node, shard.name, signal);
  if (isSealed(shard) && keyring === undefined) return bytesProblems(shard, pieces, onPiece, signal);
  const zstd = startProgram('zstd', ['-dc', '-q'], { stdin: 'pipe', signal });
  if (zstd.stdin === undefined) throw new Error('startProgram gave no stdin although one was asked for');
  let read: Read;
  try {
    read = await readInto(pieces, zstd.stdin, onPiece, isSealed(shard) ? new Opener(keyring, name) : undefined);
  } catch (error) {
    zstd.kill();
    if (signal.aborted || !(error instanceof StillpointError)) throw error;
    return [error.message];
  }
  const undecodable = await whyNot(zstd, read.taken);
  if (read.bytes !== shard.storedBytes) return asStored(shard, read);
  // What could not be opened zstd has not seen the end of.
  if (read.unopened !== undefined) return [...asStored(shard, read), `${name} cannot be opened: ${read.unopened}`];
  return [...asStored(shard, read), ...(undecodable === undefined ? [] : [`${name} cannot be decoded: ${undecodable}`])];
}

/** What is wrong with a file whose content nobody can look at. */
async function bytesProblems(
  shard: Shard | BorrowedShard,
  pieces: AsyncIterable<Uint8Array>,
  onPiece: (bytes: number) => void,
  signal: AbortSignal,
): Promise<string[]> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    return asStored(shard, await readInto(pieces, nowhere, onPiece));
  } catch (error) {
    if (signal.aborted || !(error instanceof StillpointError)) throw error;
    return [error.message];
  }
}

/** What is wrong with the bytes as they are stored. */
function asStored(shard: Shard | BorrowedShard, read: Read): string[] {
  const { storedBytes, sha256 } = shard;
  const name = shardText(shard);
  if (read.bytes < storedBytes) return [`${name} is truncated: it ends at byte ${read.bytes} of ${storedBytes}`];
  if (read.bytes > storedBytes) return [`${name} is too long: ${read.bytes} bytes instead of ${storedBytes}`];
  return read.sha256 === sha256 ? [] : [`${name} does not hold the bytes that were written`];
}

/** What zstd may have been given without having decoded it yet: the pipe's buffer and its own. */
const READ_AHEAD_BYTES = 256 * 1024;

/** Why and about where zstd gave up; undefined when it did not. */
async function whyNot(zstd: RunningProgram, taken: number): Promise<string | undefined> {
  try {
    await zstd.done;
    return undefined;
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    return `zstd gave up between byte ${Math.max(0, taken - READ_AHEAD_BYTES)} and ${taken}: ${error.lastLines(1) || error.message}`;
  }
}
