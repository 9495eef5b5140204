import { StillpointError } from '@stillpoint/shared/errors';
import { decodePartManifest, decodeSetManifest, LAYOUT, type PartManifest, type Shard, sha256Of } from '@stillpoint/shared/manifest';
import { ProgramFailure, type RunningProgram, startProgram } from '../process/index.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { type Read, readInto } from './digest.ts';
import { openRepository } from './open.ts';
import type { Repository } from './types.ts';
import { dbrootProblems } from './verify-dbroot.ts';

/**
 * Reads this node's part back: its manifest against set.json, every file against its size and digest, every
 * compressed file by decoding it, and every file in a dbroot against the list of them. What is wrong is the result, not an error.
 * Throws SET_NOT_FOUND, PART_NOT_FOUND or the signal's reason.
 */
export const verifyTask: TaskDefinition<'verify'> = {
  run: async ({ config }, { setId }, task) => {
    const { bytes, problems } = await verifyPart(openRepository(config), setId, config.node, task);
    return { result: { case: 'verify', value: { bytes: BigInt(bytes), problems: [...problems] } } };
  },
};

/** What was read, and what is wrong with it. */
export interface Verdict {
  readonly bytes: number;
  readonly problems: readonly string[];
}

/** Verifies one part; see `verifyTask`. */
export async function verifyPart(
  repository: Repository,
  setId: string,
  node: string,
  task: Pick<TaskContext, 'signal' | 'progress'>,
): Promise<Verdict> {
  const data = await repository.readPart(setId, node);
  const problems = manifestProblems(await repository.readSet(setId), data, setId, node);
  const part = decoded(() => decodePartManifest(data, LAYOUT.partManifest), problems);
  if (part === undefined) return { bytes: data.length, problems };
  if (part.setId !== setId || part.node !== node) problems.push(`${LAYOUT.partManifest} is that of ${part.setId}/${part.node}`);

  const total = part.shards.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  let bytes = 0;
  const onPiece = (count: number): void => {
    bytes += count;
    task.progress('verify', bytes, total);
  };
  const plainly = (shard: Shard): Promise<string[]> => shardProblems(repository, { setId, node }, shard, onPiece, task.signal);
  const dbroots = part.columnstore?.dbroots ?? [];
  const ofDbroots = new Set(dbroots.flatMap(({ shards, list }) => [...shards, list]));
  for (const shard of part.shards) if (!ofDbroots.has(shard.name)) problems.push(...(await plainly(shard)));
  for (const dbroot of dbroots) {
    problems.push(...(await dbrootProblems({ repository, part, onPiece, plainly, signal: task.signal }, dbroot)));
  }
  return { bytes: bytes + data.length, problems };
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

async function shardProblems(
  repository: Repository,
  { setId, node }: Pick<PartManifest, 'setId' | 'node'>,
  { name, storedBytes, sha256 }: Shard,
  onPiece: (bytes: number) => void,
  signal: AbortSignal,
): Promise<string[]> {
  if ((await repository.shardBytes(setId, node, name)) === undefined) return [`${name} is missing`];
  const zstd = startProgram('zstd', ['-dc', '-q'], { stdin: 'pipe', signal });
  if (zstd.stdin === undefined) throw new Error('startProgram gave no stdin although one was asked for');
  let read: Read;
  try {
    read = await readInto(repository.readShard(setId, node, name, signal), zstd.stdin, onPiece);
  } catch (error) {
    zstd.kill();
    if (signal.aborted || !(error instanceof StillpointError)) throw error;
    return [error.message];
  }
  const undecodable = await whyNot(zstd, read.taken);
  if (read.bytes < storedBytes) return [`${name} is truncated: it ends at byte ${read.bytes} of ${storedBytes}`];
  if (read.bytes > storedBytes) return [`${name} is too long: ${read.bytes} bytes instead of ${storedBytes}`];
  return [
    ...(read.sha256 === sha256 ? [] : [`${name} does not hold the bytes that were written`]),
    ...(undecodable === undefined ? [] : [`${name} cannot be decoded: ${undecodable}`]),
  ];
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
