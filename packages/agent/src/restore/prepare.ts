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
export async function prepareImage(directory: string, memoryBytes: number, runAs: RunAs, signal: AbortSignal): Promise<void> {
  const memory = Math.max(16, Math.ceil((memoryBytes || DEFAULT_MEMORY_BYTES) / MIB));
  try {
    const { stderr } = await runProgram('mariadb-backup', ['--prepare', `--target-dir=${directory}`, `--use-memory=${memory}M`], {
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

async function requirePrepared(directory: string): Promise<void> {
  // Newer series renamed it.
  const names = ['xtrabackup_checkpoints', 'mariadb_backup_checkpoints'];
  for (const name of names) {
    const text = await readFile(join(directory, name), 'utf8').catch(() => '');
    if (/^backup_type = log-applied$/m.test(text)) break;
    if (name === names.at(-1)) throw new StillpointError('STAGE_FAILED', 'mariadb-backup --prepare did not apply the log');
  }
  if (await exists(join(directory, 'innodb_corrupted_pages'))) {
    throw new StillpointError('PART_CORRUPT', 'The image holds corrupt pages; they are listed in its file innodb_corrupted_pages');
  }
}
