import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { exists } from '../host/index.ts';
import { runProgram } from '../process/index.ts';
import { programFailure, type RunAs } from './extract.ts';

const MIB = 1024 * 1024;
const DEFAULT_MEMORY_BYTES = 256 * MIB;

/**
 * Makes an extracted image consistent, as of its end. A server would start on an unprepared one without complaint, so
 * every sign of success is required. Must run on a copy that is thrown away when this throws.
 * Throws STAGE_FAILED, DISK_FULL or the signal's reason.
 */
export const prepareImage = (directory: string, memoryBytes: number, runAs: RunAs, signal: AbortSignal): Promise<void> =>
  prepare(directory, [], memoryBytes, runAs, signal);

/**
 * Brings a prepared image to where the next one of its chain ends, which lies extracted in `increment`. Both are changed by it. What was interrupted
 * must never be gone on with, nor begun again on the same directories: what was applied already is consumed, and a table without it counts as
 * dropped, without a word. So whatever this throws, both are to be thrown away.
 * Throws STAGE_FAILED, also for images that do not follow each other, DISK_FULL or the signal's reason.
 */
export async function applyIncrement(
  directory: string,
  increment: string,
  memoryBytes: number,
  runAs: RunAs,
  signal: AbortSignal,
): Promise<void> {
  const { toLsn } = await checkpointsOf(increment);
  await prepare(directory, [`--incremental-dir=${increment}`], memoryBytes, runAs, signal);
  const reached = await checkpointsOf(directory);
  // Its end is no sign: that stays where it was when there was no new checkpoint between two images.
  if (reached.toLsn === toLsn) return;
  throw new StillpointError('STAGE_FAILED', `After an increment the image stands at ${reached.toLsn} of the log, and not at ${toLsn}`);
}

async function prepare(directory: string, more: readonly string[], memoryBytes: number, runAs: RunAs, signal: AbortSignal): Promise<void> {
  const memory = Math.max(16, Math.ceil((memoryBytes || DEFAULT_MEMORY_BYTES) / MIB));
  try {
    const { stderr } = await runProgram('mariadb-backup', ['--prepare', `--target-dir=${directory}`, `--use-memory=${memory}M`, ...more], {
      ...runAs,
      cwd: directory,
      signal,
      // It ignores SIGTERM.
      killSignal: 'SIGINT',
    });
    if (!/completed OK!\s*$/.test(stderr))
      throw new StillpointError('STAGE_FAILED', 'mariadb-backup --prepare did not say that it completed');
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof StillpointError ? error : programFailure('STAGE_FAILED', 'The image could not be prepared', [error]);
  }
  await requirePrepared(directory);
}

/** What mariadb-backup says of an image, in its own file; newer series renamed that. */
async function checkpointsOf(directory: string): Promise<{ readonly isPrepared: boolean; readonly toLsn: string }> {
  const names = ['xtrabackup_checkpoints', 'mariadb_backup_checkpoints'];
  const texts = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8').catch(() => '')));
  const text = texts.find((each) => each !== '') ?? '';
  return { isPrepared: /^backup_type = log-applied$/m.test(text), toLsn: /^to_lsn = (\d+)$/m.exec(text)?.[1] ?? '' };
}

async function requirePrepared(directory: string): Promise<void> {
  if (!(await checkpointsOf(directory)).isPrepared)
    throw new StillpointError('STAGE_FAILED', 'mariadb-backup --prepare did not apply the log');
  if (await exists(join(directory, 'innodb_corrupted_pages'))) {
    throw new StillpointError('PART_CORRUPT', 'The image holds corrupt pages; they are listed in its file innodb_corrupted_pages');
  }
}
