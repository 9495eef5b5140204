import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { LAYOUT } from '@stillpoint/shared/manifest';
import type { Agent } from '../../agent.ts';
import type { StoredFile } from '../../archive/index.ts';
import type { MariadbConfig } from '../../config/schema.ts';
import { exists } from '../../host/index.ts';
import type { ServerLock } from '../../mariadb/lock.ts';
import { writeOptionFile } from '../../mariadb/option-file.ts';
import { formatPosition } from '../../mariadb/position.ts';
import { accountOf, openSession } from '../../mariadb/session.ts';
import { runningSettings, type ServerSettings } from '../../mariadb/settings.ts';
import { ProgramFailure, type RunningPipeline, startPipeline } from '../../process/index.ts';
import { type ServerImage, scratchDirectory } from '../part.ts';
import { storeStream } from '../stored-file.ts';
import { type BackupInfo, readBackupInfo } from './backup-info.ts';
import { bytesWritten, imageBytes } from './data-bytes.ts';

/** What to capture, and how. */
export interface LockedCapture {
  readonly agent: Agent;
  readonly mariadb: MariadbConfig;
  /** In force for as long as the capture runs. */
  readonly lock: ServerLock;
  /** Directory of the part. */
  readonly part: string;
  /** zstd level; 0 means 3. */
  readonly compressionLevel: number;
  /** Copy threads; 0 means as many as there are processors, at most 4. */
  readonly parallel: number;
  /** Bytes of the server's files, uncompressed. */
  readonly progress: (bytesDone: number, bytesTotal: number) => void;
  readonly signal: AbortSignal;
}

/** How long mariadb-backup may take to end itself after SIGINT; it ignores SIGTERM. */
const INTERRUPT_MS = 2_000;
const PROGRESS_MS = 500;
const LAST_LINES = 5;

/**
 * The whole image under the lock: writers wait for all of it. Of the strategies the simplest and the longest.
 *
 * Throws CAPTURE_FAILED (with the last lines of the tool), DISK_FULL, CAPTURE_MOVED, HOLD_LOST, ATTEST_FAILED,
 * TOOL_MISSING, or the signal's reason. Whatever lies in the part then is the caller's to remove.
 */
export async function captureLocked(capture: LockedCapture): Promise<ServerImage> {
  const { lock } = capture;
  const scratch = await scratchDirectory(join(capture.part, '.mariadb-backup'));
  const measuring = measure(capture);
  measuring.catch(() => undefined);
  const stored = await streamImage(capture, scratch, measuring);
  const info = await requireCompleted(scratch);
  await requireStill(lock, info);
  const { settings, dataBytes } = await measuring;
  capture.progress(dataBytes, dataBytes);
  await rm(scratch, { recursive: true });
  return {
    shard: {
      name: LAYOUT.mariadbFull,
      content: 'mariadb-full',
      encoding: 'mbstream+zstd',
      storedBytes: stored.bytes,
      sha256: stored.sha256,
    },
    dataBytes,
    backupToolVersion: info.toolVersion,
    fromLsn: info.fromLsn,
    toLsn: info.toLsn,
    lastLsn: info.lastLsn,
    server: { version: settings.version, serverId: settings.serverId, datadir: settings.datadir, port: settings.port },
  };
}

interface Measured {
  readonly settings: ServerSettings;
  readonly dataBytes: number;
}

/** Looks at the server while the copy runs already, for not to make writers wait for it. */
async function measure({ mariadb, signal }: LockedCapture): Promise<Measured> {
  const session = await openSession(accountOf(mariadb), signal);
  try {
    const settings = await runningSettings(session, signal);
    return { settings, dataBytes: await imageBytes(settings, signal) };
  } finally {
    await session.close();
  }
}

/** mariadb-backup through zstd into the part. Every exit status counts, and the tool's own last word. */
async function streamImage(capture: LockedCapture, scratch: string, measuring: Promise<Measured>): Promise<StoredFile> {
  const { agent, mariadb, signal } = capture;
  const options = await writeOptionFile(agent.config.stateDir, mariadb.defaultsFile, accountOf(mariadb));
  const over = new AbortController();
  try {
    const running = startPipeline(
      {
        program: 'mariadb-backup',
        args: backupArguments(options.path, scratch, capture.parallel),
        killSignal: 'SIGINT',
        killDelayMs: INTERRUPT_MS,
        onStderrLine: (line) => {
          // Connected: from here on it needs the password no more.
          if (line.includes('Using server version')) void options.remove().catch(() => undefined);
        },
      },
      { program: 'zstd', args: ['-q', `-${capture.compressionLevel || 3}`, '-T0', '-c'] },
      signal,
    );
    void watchProgress(capture, running, measuring, over.signal);
    const stored = await storeOutput(running, join(capture.part, LAYOUT.mariadbFull), signal);
    const { stderrTail } = await running.source.done;
    if (!/completed OK!\s*$/.test(stderrTail))
      throw new StillpointError('CAPTURE_FAILED', `mariadb-backup did not say that it completed: ${tailOf(stderrTail)}`);
    return stored;
  } finally {
    over.abort();
    await options.remove();
  }
}

/** Short copy intervals, because with the default second the tool alone would make writers wait for one more. */
const backupArguments = (optionFile: string, scratch: string, parallel: number): string[] => [
  `--defaults-file=${optionFile}`,
  '--backup',
  '--stream=mbstream',
  `--target-dir=${scratch}`,
  `--extra-lsndir=${lsnDirectory(scratch)}`,
  `--parallel=${parallel || Math.min(4, availableParallelism())}`,
  '--log-copy-interval=10',
  '--innodb-log-checkpoint-now=1',
];

const lsnDirectory = (scratch: string): string => join(scratch, 'lsn');

async function storeOutput(running: RunningPipeline, path: string, signal: AbortSignal): Promise<StoredFile> {
  const storing = storeStream(running.stdout, path).catch((error: unknown) => {
    running.kill();
    throw error;
  });
  const [stored, ended] = await Promise.allSettled([storing, running.done]);
  signal.throwIfAborted();
  // A full disk ends the programs too; they are not to blame.
  if (stored.status === 'rejected' && stored.reason instanceof StillpointError) throw stored.reason;
  if (ended.status === 'rejected') throw captureFailure(ended.reason);
  if (stored.status === 'rejected') throw stored.reason;
  return stored.value;
}

function captureFailure(reason: unknown): unknown {
  if (!(reason instanceof ProgramFailure)) return reason;
  const full = /No space left on device|errno: 28|Disk quota exceeded/.test(reason.stderrTail);
  return new StillpointError(full ? 'DISK_FULL' : 'CAPTURE_FAILED', `${reason.message}: ${tailOf(reason.stderrTail)}`, { cause: reason });
}

const tailOf = (stderr: string): string => stderr.trim().split('\n').slice(-LAST_LINES).join('\n');

/** How far the tool has come, by what it has written: its own messages name files, not bytes. */
async function watchProgress(
  { agent, progress }: LockedCapture,
  { source }: RunningPipeline,
  measuring: Promise<Measured>,
  over: AbortSignal,
): Promise<void> {
  try {
    const { dataBytes } = await measuring;
    for (;;) {
      const written = source.pid === undefined ? undefined : await bytesWritten(source.pid);
      if (over.aborted) return;
      if (written !== undefined) progress(Math.min(written, dataBytes), dataBytes);
      await agent.clock.sleep(PROGRESS_MS, over);
    }
  } catch {
    // Over; or not measured, which whoever waits for the measure is told.
  }
}

/** The signs of success that lie on disk: the tool's last file is there, and it found no damaged page. */
async function requireCompleted(scratch: string): Promise<BackupInfo> {
  const info = await readBackupInfo(lsnDirectory(scratch));
  if (info === undefined)
    throw new StillpointError('CAPTURE_FAILED', 'mariadb-backup ended well, but did not write the file that comes last');
  for (const directory of [scratch, lsnDirectory(scratch)]) {
    if (await exists(join(directory, 'innodb_corrupted_pages'))) {
      throw new StillpointError('CAPTURE_FAILED', 'mariadb-backup found damaged pages in the files of the server', {
        hint: 'Repair the server (CHECK TABLE names the tables): a backup of damaged data would be one.',
      });
    }
  }
  return info;
}

/** The image is that of the still point: the lock was held all the time, and the tool saw the position under it. */
async function requireStill(lock: ServerLock, { position }: BackupInfo): Promise<void> {
  await lock.attest();
  if (!lock.position.logBin && position === undefined) return;
  if (position !== undefined && (await lock.standsAt(position))) return;
  const seen = position === undefined ? 'none' : `${position.file}:${position.offset} (${position.gtid})`;
  throw new StillpointError(
    'CAPTURE_MOVED',
    `mariadb-backup recorded position ${seen}, under the lock it was ${formatPosition(lock.position)}`,
  );
}
