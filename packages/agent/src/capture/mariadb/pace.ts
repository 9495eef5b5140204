import type { Clock } from '@stillpoint/shared/time';
import { programOf } from '../../host/index.ts';
import { TYING_PROGRAM } from '../../process/index.ts';
import { isLimited, limitedTo, waitTurn } from '../../throttle/node.ts';
import { bytesWritten } from './data-bytes.ts';
import type { RunningImage } from './start-image.ts';

/** Holds an image on its way into the part back, by the limit of the node: for what mariadb-backup has written, and so read, and for what is stored of it. */
export interface Pace {
  /** Is waited for before so many bytes are stored. Throws the signal's reason. */
  readonly stored: (bytes: number) => Promise<void>;
  /** From now on only what is stored is held back: the tool has read all that there is. */
  letGo(): void;
}

/** What it depends on. */
export interface Pacing {
  readonly clock: Clock;
  /** Whether the compressor can be stopped: it dies with the agent also while it is. */
  readonly mayStop: boolean;
  readonly signal: AbortSignal;
}

/**
 * The tool is held back by its pipe, which nobody reads meanwhile: never by being stopped itself, for others wait for it. Without a compressor, what is stored is what
 * the pipe gives. zstd takes in some MiB for each processor before it gives anything, so it is stopped whenever more has been read than may be.
 */
export function paceOf(running: RunningImage, { clock, mayStop, signal }: Pacing): Pace {
  const { sink, source } = running;
  if (limitedTo() === 0) return { stored: async () => {}, letGo: () => {} };
  if (sink === undefined || !mayStop) return { stored: withWritten(source.pid, signal), letGo: () => {} };
  const over = new AbortController();
  const letGo = (): void => over.abort();
  source.done.then(letGo, letGo);
  void stopAndGo(source.pid, sink, clock, AbortSignal.any([signal, over.signal]));
  return { stored: (bytes) => waitTurn(bytes, signal), letGo };
}

function withWritten(pid: number | undefined, signal: AbortSignal): Pace['stored'] {
  let before: number | undefined = 0;
  return async (bytes) => {
    const written = isLimited() && pid !== undefined ? await bytesWritten(pid) : undefined;
    const since = written === undefined || before === undefined ? 0 : written - before;
    // What goes through without a limit does not count afterwards.
    before = written;
    await waitTurn(bytes + since, signal);
  };
}

/** Between two looks, milliseconds: so that no more goes through in between than the limit allows in a tenth of a second. */
const LONGEST_LOOK_MS = 20;
const SHORTEST_LOOK_MS = 1;
const AT_ONCE_S = 0.1;

/** Stopped before its launcher has tied it to the agent, it would stand for ever after the agent was killed. */
async function untilTied(pid: number | undefined, clock: Clock, over: AbortSignal): Promise<void> {
  while (pid !== undefined && (await programOf(pid)) === TYING_PROGRAM) await clock.sleep(SHORTEST_LOOK_MS, over);
}

/** Counts what one program writes for another, and stops that one while more of it has gone through than may. Never throws. */
async function stopAndGo(
  pid: number | undefined,
  reader: Pick<NonNullable<RunningImage['sink']>, 'pid' | 'pause' | 'unpause'>,
  clock: Clock,
  over: AbortSignal,
): Promise<void> {
  let lookMs = SHORTEST_LOOK_MS;
  let before = 0;
  try {
    await untilTied(reader.pid, clock, over);
    // While programs are being started nobody looks.
    if (isLimited()) reader.pause();
    for (let since = 0; ; ) {
      // Their turn begins when all before them are through, and they are when the next one begins.
      await waitTurn(since, over);
      await waitTurn(0, over);
      reader.unpause();
      await clock.sleep(lookMs, over);
      const written = pid === undefined ? undefined : await bytesWritten(pid);
      if (written === undefined || over.aborted) return;
      // What goes through without a limit does not count afterwards.
      since = isLimited() ? written - before : 0;
      before = written;
      if (since === 0) continue;
      lookMs = Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, (lookMs * limitedTo() * AT_ONCE_S) / since));
      reader.pause();
    }
  } catch {
    // Over.
  } finally {
    reader.unpause();
  }
}
