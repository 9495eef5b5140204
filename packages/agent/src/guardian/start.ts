import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { type Clock, formatDuration } from '@stillpoint/shared/time';
import { startProgram } from '../process/index.ts';
import { errorOf, type Instructions, lineOf, type Order, type Word } from './talk.ts';

/** The process that keeps the order of release when this one cannot. */
export interface Guardian {
  readonly pid: number;
  /**
   * Aborted with HOLD_LOST at the moment it cannot be relied on any more: it has ended, has lost its lock, does not answer, or does not rely
   * on this process. Not by `release`.
   */
  readonly lost: AbortSignal;
  /** Makes it take its own read lock; the hold has one by then. Throws why it could not, or the signal's reason. */
  lock(signal: AbortSignal): Promise<void>;
  /** The agent is alive, and so is its controller. */
  renew(): void;
  /**
   * From now on it undoes the suspension of the engine if this process does not. Throws HOLD_LOST or the signal's reason: then
   * nothing must be suspended.
   */
  suspending(signal: AbortSignal): Promise<void>;
  /** The engine is read-only. */
  suspended(): void;
  /**
   * Makes it let go of its lock, and stay although the engine is not read-write for certain: when this process ends before `release`, the guardian
   * sees to that. It must be told by `renew` still that this process lives. Never throws.
   */
  unlock(): Promise<void>;
  /** Makes it let go, once the engine is read-write; after it there is no lock of it. Never throws. */
  release(): Promise<void>;
  /** Resolves when its process has ended; soon after `release`. Never rejects. */
  readonly ended: Promise<void>;
}

interface StartOptions {
  /** Descriptor of the connection that will hold the agent's lock: kept open by the guardian when the agent is killed. */
  readonly shared: number | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Of this file: TypeScript from a checkout, JavaScript where it is installed. */
const extension = extname(import.meta.url);
const MAIN = fileURLToPath(new URL(`./main${extension}`, import.meta.url));
const NODE_OPTIONS = extension === '.ts' ? ['-C', 'source'] : [];

/** Node, its modules and a connection: half a second, on a busy host some more. */
const START_MS = 15_000;
const LOCK_MS = 8_000;
const RELEASE_MS = 3_000;
/** The signal that no guardian ignores follows at once. */
const KILL_DELAY_MS = 1;

/**
 * Starts a guardian, and returns when it has a connection to the server and everything that it will need. To be done before writers are made
 * to wait: a process takes its time to start. Throws what keeps it from guarding, or the signal's reason; nothing runs then.
 */
export async function startGuardian(instructions: Omit<Instructions, 'isShared'>, options: StartOptions): Promise<Guardian> {
  const { clock, shared, signal } = options;
  signal.throwIfAborted();
  const program = startProgram(process.execPath, [...NODE_OPTIONS, MAIN], {
    ...{ stdin: 'pipe', stdout: 'pipe', stderr: 'inherit', outlives: true, shared, killSignal: 'SIGKILL', killDelayMs: KILL_DELAY_MS },
  });
  const talk = openTalk(program, clock);
  try {
    talk.write(lineOf({ ...instructions, isShared: shared !== undefined }));
    await talk.hear('ready', START_MS, signal);
  } catch (error) {
    talk.quiet();
    program.kill();
    await program.done.catch(() => undefined);
    throw signal.aborted ? signal.reason : error;
  }
  return guardianOver(program, talk, instructions.leaseMs, clock);
}

type Program = ReturnType<typeof startProgram>;

interface Talk {
  readonly lost: AbortSignal;
  write(line: string): void;
  /** Waits for a word. Throws HOLD_LOST when it does not come, or the failure that comes instead. */
  hear(word: Word['word'], timeoutMs: number, signal?: AbortSignal): Promise<void>;
  /** When something was heard last, by the monotonic clock. */
  readonly heardMs: number;
  lose(message: string): void;
  /** From now on nothing is lost any more. */
  quiet(): void;
}

function openTalk(program: Program, clock: Clock): Talk {
  const lost = new AbortController();
  const waiting = new Map<Word['word'], () => void>();
  let isQuiet = false;
  let heardMs = clock.monotonicMs();
  const loseTo = (error: StillpointError): void => {
    if (!isQuiet) lost.abort(error);
  };
  const lose = (message: string): void => loseTo(new StillpointError('HOLD_LOST', message));
  const hear = (word: Word): void => {
    heardMs = clock.monotonicMs();
    if (word.word === 'failed') loseTo(errorOf(word.error));
    else if (word.word === 'taking-over') lose(`The guardian of the hold has let go by itself: ${word.why}`);
    else waiting.get(word.word)?.();
  };
  const { stdin, stdout } = program;
  if (stdin === undefined || stdout === undefined) throw new Error('a guardian is started with pipes');
  stdin.on('error', () => undefined);
  stdout.on('error', () => undefined);
  createInterface({ input: stdout }).on('line', (line) => {
    const word = wordOf(line);
    if (word === undefined) lose('The guardian of the hold has said something that is not understood');
    else hear(word);
  });
  program.done.then(
    () => lose('The guardian of the hold has ended'),
    (error: unknown) => lose(`The guardian of the hold is gone: ${toStillpointError(error).message}`),
  );
  return {
    lost: lost.signal,
    get heardMs() {
      return heardMs;
    },
    write: (line) => void stdin.write(line),
    lose,
    quiet: () => {
      isQuiet = true;
    },
    hear: async (word, timeoutMs, signal) => {
      const heard = Promise.withResolvers<void>();
      const over = new AbortController();
      waiting.set(word, heard.resolve);
      const late = clock.sleep(timeoutMs, AbortSignal.any([over.signal, lost.signal, signal ?? over.signal])).then(() => {
        throw new StillpointError('HOLD_LOST', `The guardian of the hold has not said "${word}" within ${formatDuration(timeoutMs)}`);
      });
      await Promise.race([heard.promise, late]).finally(() => over.abort());
    },
  };
}

/** Undefined for a line that is torn, or that something else wrote. */
function wordOf(line: string): Word | undefined {
  try {
    return JSON.parse(line) as Word;
  } catch {
    return undefined;
  }
}

function guardianOver(program: Program, talk: Talk, leaseMs: number, clock: Clock): Guardian {
  const order = (given: Order): void => talk.write(lineOf({ order: given }));
  const ended = program.done.then(
    () => undefined,
    () => undefined,
  );
  /** True when it has, or has ended. */
  const letGoBy = async (given: 'unlock' | 'release'): Promise<boolean> => {
    talk.quiet();
    order(given);
    const released = talk.hear('released', RELEASE_MS).then(
      () => true,
      () => false,
    );
    return await Promise.race([released, ended.then(() => true)]);
  };
  let unansweredMs: number | undefined;
  return {
    pid: program.pid ?? 0,
    lost: talk.lost,
    ended,
    lock: async (signal) => {
      order('lock');
      await talk.hear('locked', LOCK_MS, signal);
    },
    renew: () => {
      const nowMs = clock.monotonicMs();
      if (unansweredMs !== undefined && talk.heardMs > unansweredMs) unansweredMs = undefined;
      unansweredMs ??= nowMs;
      if (nowMs - unansweredMs > leaseMs)
        talk.lose(`The guardian of the hold has not answered for ${formatDuration(nowMs - unansweredMs)}`);
      order('renew');
    },
    suspending: async (signal) => {
      order('suspending');
      await talk.hear('guarding', leaseMs, signal);
    },
    suspended: () => order('suspended'),
    unlock: async () => {
      if (!(await letGoBy('unlock'))) await endBy(program, 0, ended, clock);
    },
    release: async () => {
      const isReleased = await letGoBy('release');
      const end = endBy(program, isReleased ? RELEASE_MS : 0, ended, clock);
      if (!isReleased) await end;
    },
  };
}

/** It ends by itself, unless it is frozen or at something that is no longer needed; its lock goes with it. */
async function endBy(program: Program, withinMs: number, ended: Promise<void>, clock: Clock): Promise<void> {
  const over = new AbortController();
  const late = clock.sleep(withinMs, over.signal).then(
    () => program.kill(),
    () => undefined,
  );
  await Promise.race([ended, late]);
  over.abort();
  await ended;
}
