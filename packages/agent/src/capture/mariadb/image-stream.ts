import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Priority } from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import type { Agent } from '../../agent.ts';
import type { StoredFile } from '../../archive/index.ts';
import type { MariadbConfig } from '../../config/schema.ts';
import { fileKeyFor } from '../../encryption/index.ts';
import { writeOptionFile } from '../../mariadb/option-file.ts';
import { accountOf } from '../../mariadb/session.ts';
import { comeBack } from '../../priority/come-back.ts';
import { backLauncher } from '../../priority/words.ts';
import { ProgramFailure, type RunningProgram, tiedToAgent } from '../../process/index.ts';
import { type StoreStream, storeStream } from '../stored-file.ts';
import type { Storing } from '../storing.ts';
import type { Basis } from './basis.ts';
import { bytesWritten, processorTicks } from './data-bytes.ts';
import type { Measured } from './measure.ts';
import { paceOf } from './pace.ts';
import { type RunningImage, startImage } from './start-image.ts';
import { lsnDirectory } from './tool-files.ts';

/** What mariadb-backup is to stream, and how. */
export interface ImageStreamOptions {
  readonly agent: Agent;
  readonly mariadb: MariadbConfig;
  /** Directory of the part. */
  readonly part: string;
  /** Name of the file in it, which is made anew. */
  readonly file: string;
  /** Directory of the tool's own files, empty. */
  readonly scratch: string;
  readonly storing: Storing;
  /** What the image builds upon; undefined for a full one. */
  readonly basis: Pick<Basis, 'lsn'> | undefined;
  /** Copy threads; 0 means as many as there are processors, at most 4. */
  readonly parallel: number;
  /** How far both programs step back until `comeBack`; undefined for those that writers wait for from the beginning, or who may not come back. */
  readonly priority?: Priority | undefined;
  /** What there is to copy, for the progress, which is told of until the end. */
  readonly measuring: Promise<Measured>;
  /** Bytes of the server's files, uncompressed. */
  readonly progress: (bytesDone: number, bytesTotal: number) => void;
  /** Gets every line of the tool's messages. */
  readonly onLine?: (line: string) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** mariadb-backup on its way through zstd into the part. */
export interface ImageStream {
  readonly tool: RunningProgram;
  /**
   * Stored, every program has exited with 0, and the tool's last word was that it completed. Rejects with CAPTURE_FAILED (with its last lines),
   * DISK_FULL, TOOL_MISSING, or the signal's reason. Never an unhandled rejection.
   */
  readonly stored: Promise<StoredFile>;
  /** The tool has exited with 0 and said that it completed; what it wrote may be on its way yet. Rejects as `stored` does. Never an unhandled rejection. */
  readonly copied: Promise<void>;
  /** Gives both programs the agent's own priority. Throws CAPTURE_FAILED. */
  comeBack(): Promise<void>;
  /** Returns when what was written so far is compressed, as far as can be told, or after some time. */
  catchUp(signal: AbortSignal): Promise<void>;
}

/** How long mariadb-backup may take to end itself after SIGINT; it ignores SIGTERM. */
const INTERRUPT_MS = 2_000;
const PROGRESS_MS = 500;
const LAST_LINES = 5;

/** Starts it. Throws CONFIG_FILE_UNREADABLE, the system's error, or the reason of a signal that is aborted already. */
export async function startImageStream(options: ImageStreamOptions): Promise<ImageStream> {
  const { agent, mariadb, onLine, part, priority, scratch, signal, storing } = options;
  const key = await fileKeyFor(storing.recipients);
  const back = await backLauncher(priority);
  const tied = await tiedToAgent();
  const launcher = [...tied, ...back];
  const optionFile = await writeOptionFile(agent.config.stateDir, mariadb.defaultsFile, accountOf(mariadb));
  const over = new AbortController();
  try {
    const running = startImage(
      {
        program: 'mariadb-backup',
        args: backupArguments(optionFile.path, scratch, options),
        launcher,
        killSignal: 'SIGINT',
        killDelayMs: INTERRUPT_MS,
        onStderrLine: (line) => {
          // Connected: from here on it needs the password no more.
          if (line.includes('Using server version')) void optionFile.remove().catch(() => undefined);
          onLine?.(line);
        },
      },
      { level: storing.level, launcher },
      signal,
    );
    const path = join(part, options.file);
    const pace = paceOf(running, { clock: agent.clock, mayStop: tied.length > 0, signal });
    const how = { key, isRaw: storing.level === 0, pace: pace.stored };
    const stored = storeAndClear(running, path, how, signal, async () => {
      over.abort();
      await optionFile.remove();
    });
    stored.catch(() => undefined);
    const copied = completed(running, stored);
    copied.catch(() => undefined);
    void watchProgress(options, running, over.signal);
    const catchUp = (stop: AbortSignal): Promise<void> => {
      pace.letGo();
      return caughtUp(running, agent.clock, stop);
    };
    const pids = [running.source.pid, running.sink?.pid].filter((pid) => pid !== undefined);
    return {
      ...{ tool: running.source, stored, copied, catchUp },
      comeBack: async () => {
        if (back.length > 0) await comeBack(pids);
      },
    };
  } catch (error) {
    await optionFile.remove();
    throw error;
  }
}

/**
 * How long the tool's copy of the redo log rests between two looks, milliseconds. With the default second the tool alone would make writers wait for one
 * more; with 10 it is nearly always looking for the end of the log when it is to stop, which takes it 0.2 s (10.11.19: the last stages took 290 ms with 10,
 * 90 to 290 with 50).
 */
const COPY_INTERVAL_MS = 50;

const backupArguments = (
  optionFile: string,
  scratch: string,
  { basis, parallel }: Pick<ImageStreamOptions, 'basis' | 'parallel'>,
): string[] => [
  `--defaults-file=${optionFile}`,
  '--backup',
  '--stream=mbstream',
  `--target-dir=${scratch}`,
  `--extra-lsndir=${lsnDirectory(scratch)}`,
  `--parallel=${parallel || Math.min(4, availableParallelism())}`,
  `--log-copy-interval=${COPY_INTERVAL_MS}`,
  '--innodb-log-checkpoint-now=1',
  ...(basis === undefined ? [] : [`--incremental-lsn=${basis.lsn}`]),
];

async function storeAndClear(
  running: RunningImage,
  path: string,
  how: StoreStream,
  signal: AbortSignal,
  clear: () => Promise<void>,
): Promise<StoredFile> {
  try {
    const stored = await storeOutput(running, path, how, signal);
    await requireLastWord(running);
    return stored;
  } finally {
    await clear();
  }
}

/** Every exit status counts, and the tool's own last word. */
async function requireLastWord({ source }: RunningImage): Promise<void> {
  const { stderrTail } = await source.done;
  if (/completed OK!\s*$/.test(stderrTail)) return;
  throw new StillpointError('CAPTURE_FAILED', `mariadb-backup did not say that it completed: ${tailOf(stderrTail)}`);
}

async function completed(running: RunningImage, stored: Promise<StoredFile>): Promise<void> {
  try {
    await requireLastWord(running);
  } catch (error) {
    // It may have been ended because of what reads it, and that is to blame then.
    await stored;
    throw error;
  }
}

const IDLE_MS = 40;
const CATCH_UP_MS = 2_000;

/** A compressor that has spent no time between two looks waits for more. */
async function caughtUp({ sink }: RunningImage, clock: Clock, stop: AbortSignal): Promise<void> {
  const until = clock.monotonicMs() + CATCH_UP_MS;
  const look = async (): Promise<number | undefined> => (sink?.pid === undefined ? undefined : processorTicks(sink.pid));
  for (let before = await look(); before !== undefined && clock.monotonicMs() < until; ) {
    await clock.sleep(IDLE_MS, stop);
    const now = await look();
    if (now === before) return;
    before = now;
  }
}

async function storeOutput(running: RunningImage, path: string, how: StoreStream, signal: AbortSignal): Promise<StoredFile> {
  const storing = storeStream(running.stdout, path, how).catch((error: unknown) => {
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
  { agent, measuring, progress }: ImageStreamOptions,
  { source }: RunningImage,
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
