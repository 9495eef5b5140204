import { join } from 'node:path';
import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import type { BorrowedShard, Shard } from '@stillpoint/shared/manifest';
import { exists } from '../host/index.ts';
import { ProgramFailure, startProgram } from '../process/index.ts';
import { type Read, readInto } from '../repository/index.ts';
import { saysDiskFull } from './disk-full.ts';
import { openerOf, type PartSource } from './source.ts';

/** As whom to run programs; nothing for this process. */
export interface RunAs {
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Extracts the server's image of a part into an empty directory, every byte compared with what was written.
 * Throws PART_CORRUPT, KEY_MISSING, STAGE_FAILED, DISK_FULL or the signal's reason; whatever was extracted is the caller's to remove.
 */
export async function extractImage(
  source: PartSource,
  shard: Shard | BorrowedShard,
  target: { readonly directory: string; readonly runAs: RunAs },
  signal: AbortSignal,
  onPiece: (bytes: number) => void,
): Promise<void> {
  const { directory, runAs } = target;
  const mbstream = startProgram('mbstream', ['-x', '-C', directory], { ...runAs, cwd: directory, stdin: 'pipe', signal });
  const zstd = startProgram('zstd', ['-dc', '-q'], { stdin: 'pipe', stdout: mbstream.stdin ?? 'ignore', signal });
  // The descriptor is zstd's alone now: while we kept a copy, mbstream would never see the end.
  mbstream.stdin?.on('error', () => undefined);
  mbstream.stdin?.destroy();
  if (zstd.stdin === undefined) throw new Error('startProgram gave no stdin although one was asked for');
  const ends = Promise.allSettled([zstd.done, mbstream.done]);
  let read: Read;
  try {
    read = await readInto(source.read(shard, signal), zstd.stdin, onPiece, openerOf(source, shard));
  } catch (error) {
    zstd.kill();
    mbstream.kill();
    await ends;
    throw error;
  }
  const failures = (await ends).flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  signal.throwIfAborted();
  // A program that stumbles over bytes that were never written is not to blame.
  if (!isDiskFull(failures)) checkBytes(source, shard, read);
  if (failures.length > 0) throw programFailure('STAGE_FAILED', `${shard.name} could not be extracted`, failures);
  await requireLastFile(directory, shard);
}

/** Throws PART_CORRUPT. */
export function checkBytes({ where }: Pick<PartSource, 'where'>, { name, storedBytes, sha256 }: Shard, read: Read): void {
  if (read.bytes !== storedBytes)
    throw new StillpointError('PART_CORRUPT', `${name} of ${where} has ${read.bytes} bytes instead of ${storedBytes}`);
  if (read.sha256 !== sha256) throw new StillpointError('PART_CORRUPT', `${name} of ${where} does not hold the bytes that were written`);
  if (read.unopened !== undefined) throw new StillpointError('PART_CORRUPT', `${name} of ${where} cannot be opened: ${read.unopened}`);
}

/** mbstream ends well on a stream that stops between two chunks; only the file that comes last tells. Newer series renamed it. */
async function requireLastFile(directory: string, { name }: Shard): Promise<void> {
  for (const file of ['xtrabackup_info', 'mariadb_backup_info']) if (await exists(join(directory, file))) return;
  throw new StillpointError('PART_CORRUPT', `${name} ends before its last file, xtrabackup_info`);
}

const isDiskFull = (failures: readonly unknown[]): boolean =>
  failures.some((failure) => failure instanceof ProgramFailure && saysDiskFull(failure.stderrTail));

/** An error of the table for programs that failed, with their last lines. What is no failure of a program is thrown as it is. */
export function programFailure(code: ErrorCode, what: string, failures: readonly unknown[]): Error {
  const other = failures.find((failure) => !(failure instanceof ProgramFailure));
  if (other instanceof Error) return other;
  const told = failures.map((failure) => (failure instanceof ProgramFailure ? `${failure.message}: ${failure.lastLines(3)}` : ''));
  return new StillpointError(isDiskFull(failures) ? 'DISK_FULL' : code, `${what}: ${told.join('; ')}`, { cause: failures[0] });
}
