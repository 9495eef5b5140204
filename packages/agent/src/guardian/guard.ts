import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { type Clock, formatDuration } from '@stillpoint/shared/time';
import type { EngineControl } from '../columnstore/suspend/index.ts';
import type { SecondLock } from '../mariadb/second-lock.ts';
import { RESUME_MS, type Suspension, seeWritable } from './see-writable.ts';
import { STEADY_MS } from './steady.ts';
import { failureOf, type Order, type Word } from './talk.ts';

/** What a guard works with. */
export interface GuardParts {
  readonly control: EngineControl;
  /** Its own lock. Undefined on a node without a server. */
  readonly lock: Pick<SecondLock, 'connectionId' | 'take' | 'gone' | 'release'> | undefined;
  /** Ends the connection of the agent with its lock, as far as it is kept open here. Never throws. */
  endShared(): void;
  readonly leaseMs: number;
  readonly clock: Clock;
  /** Says something to the agent; it may be gone. */
  say(word: Word): void;
  /** Says something for the log, once the agent does no longer. */
  log(level: 'info' | 'warn' | 'error', message: string): void;
  /** Ends what an agent that was killed had begun and that would make the engine read-only yet. Never throws. */
  cutOff(): Promise<void>;
  /** After the locks are gone: sees to it that nothing of the suspension is left, and forgets it. Never throws. */
  conclude(): Promise<void>;
}

/** Keeps the order of release when the agent cannot: the engine read-write first, the lock second. */
export interface Guard {
  hear(order: Order): void;
  /** The agent is gone, or cannot be relied on. */
  takeOver(why: string): void;
  /** Resolves once this guard holds nothing any more, however that came about. Never rejects. */
  readonly released: Promise<void>;
  /** Resolves when there is nothing left to do. Never rejects. */
  readonly done: Promise<void>;
}

/** How much longer than its lease an agent may be silent, milliseconds. It ends a hold in time by itself, if it can. */
const MARGIN_MS = 1_000;
const LOCK_MS = 5_000;

/**
 * After the lease and this the server drops a session with a lock that it hears nothing of, milliseconds. Not sooner: when agent and guardian are
 * frozen both, writers are better off waiting, for one that thaws in time undoes everything in the right order.
 */
export const SILENT_BEYOND_LEASE_MS = RESUME_MS + 10_000;

/** A guard that holds nothing yet. */
export function createGuard(parts: GuardParts): Guard {
  const { lock, leaseMs, clock, say, log } = parts;
  const released = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const over = new AbortController();
  let suspension: Suspension = 'none';
  let isUnlocked = false;
  let heardMs = clock.monotonicMs();

  const end = (work: () => Promise<void>): void => {
    if (over.signal.aborted) return;
    over.abort();
    work().then(done.resolve, done.resolve).finally(released.resolve);
  };
  const letGo = async (): Promise<void> => {
    await lock?.release();
    released.resolve();
    say({ word: 'released' });
  };
  const takeOver = (why: string): void =>
    end(async () => {
      say({ word: 'taking-over', why });
      log('warn', `the guardian takes over: ${why}`);
      if (isUnlocked) return await parts.conclude();
      // Whatever goes wrong, writers do not wait for ever.
      const isWritable = await undo(parts, suspension).catch(() => false);
      parts.endShared();
      await letGo();
      if (isWritable) log('info', 'the engine is read-write, and writers go on');
      else log('error', 'writers go on, but the engine was not seen read-write: see `dbrmctl status` on its primary');
      if (suspension !== 'none') await parts.conclude();
    });

  const lose = (why: unknown): void => {
    if (over.signal.aborted) return;
    const message = `The guardian's connection with its read lock is gone: ${toStillpointError(why).message}`;
    say({ word: 'failed', error: failureOf(new StillpointError('HOLD_LOST', message)) });
  };
  const take = async (): Promise<void> => {
    try {
      const isTaken = (await lock?.take(LOCK_MS)) ?? false;
      lock?.gone.throwIfAborted();
      lock?.gone.addEventListener('abort', () => lose(lock.gone.reason), { once: true });
      say({ word: 'locked', connectionId: isTaken && lock !== undefined ? lock.connectionId : 0 });
    } catch (error) {
      say({ word: 'failed', error: failureOf(toStillpointError(error)) });
    }
  };
  const watch = async (): Promise<void> => {
    for (let leftMs = 1; leftMs > 0; leftMs = heardMs + leaseMs + MARGIN_MS - clock.monotonicMs()) await clock.sleep(leftMs, over.signal);
    takeOver(`the agent has said nothing for ${formatDuration(clock.monotonicMs() - heardMs)}`);
  };
  const obey = (order: Order): void => {
    switch (order) {
      case 'lock':
        watch().catch(() => undefined);
        void take();
        return;
      case 'renew':
        say({ word: 'alive' });
        return;
      case 'suspending':
        suspension = 'begun';
        say({ word: 'guarding' });
        return;
      case 'suspended':
        suspension = 'complete';
        return;
      case 'unlock':
        isUnlocked = true;
        void letGo();
        return;
      case 'release':
        end(isUnlocked ? async () => say({ word: 'released' }) : letGo);
    }
  };
  return {
    released: released.promise,
    done: done.promise,
    takeOver,
    hear: (order) => {
      if (over.signal.aborted) return;
      heardMs = clock.monotonicMs();
      obey(order);
    },
  };
}

/** True when the engine is read-write. Never throws. */
async function undo({ control, cutOff, leaseMs, clock, log }: GuardParts, suspension: Suspension): Promise<boolean> {
  if (suspension === 'begun') await cutOff();
  const { isWritable, resumed, error } = await seeWritable({ control, suspension, steadyMs: STEADY_MS, leaseMs, clock });
  for (const stuck of resumed?.stuckLocks ?? []) log('warn', stuck);
  if (error !== undefined) log('error', error.message);
  return isWritable;
}
