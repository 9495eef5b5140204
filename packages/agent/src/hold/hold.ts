import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { MariadbPosition } from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import { type HoldBounds, watchBounds } from './bounds.ts';
import { type Granted, type HoldState, mayFollow } from './state.ts';
import type { Hold } from './types.ts';

export interface HoldParts {
  readonly operationId: string;
  readonly bounds: HoldBounds;
  readonly clock: Clock;
  /** Takes the lock and opens the snapshots. Nothing is held when it throws. */
  take(signal: AbortSignal): Promise<Granted>;
  /** Told when it has ended, for journal and log; `error` when it was not let go as asked. */
  onEnd(blockedMs: number, error: StillpointError | undefined): void;
}

/** A hold as its owner drives it. */
export interface DrivenHold extends Hold {
  /** Takes the lock. Throws why it could not; nothing is held then. */
  acquire(signal: AbortSignal): Promise<void>;
  /** Pushes the lease out. Gives how long it has been in force, milliseconds. Throws why it is not. */
  renew(): number;
  /** Proves that nothing has moved. Throws, and has let go, if that cannot be proven. */
  attest(): Promise<{ readonly position: MariadbPosition | undefined; readonly heldMs: number }>;
  /** Lets go. Gives how long writers were shut out, milliseconds. Throws why it was not in force any more. */
  release(): Promise<number>;
  /** Lets go because of an error; nothing to do when it has ended. */
  lose(error: StillpointError): Promise<void>;
  /** Lets go and closes the snapshots too. */
  dispose(): Promise<void>;
}

/**
 * A node standing still. Three things end a hold that nobody wants any more: its lease, its budget, and the loss of the
 * lock. Whichever comes first decides; later ones change nothing.
 */
export function createHold(parts: HoldParts): DrivenHold {
  const { operationId, clock, onEnd } = parts;
  const lost = new AbortController();
  const over = new AbortController();
  const requestedMs = clock.monotonicMs();
  let state: HoldState = { name: 'acquiring' };

  const granted = (): Granted | undefined => (state.name === 'acquiring' ? undefined : state.granted);
  const blockedMs = (): number => ('blockedMs' in state ? state.blockedMs : clock.monotonicMs() - requestedMs);
  const waitedMs = (): number => granted()?.lock?.waitedMs ?? 0;
  const transition = (to: HoldState): boolean => {
    if (!mayFollow(state, to)) return false;
    state = to;
    if (to.name === 'released' || to.name === 'lost') over.abort();
    return true;
  };
  const lose = async (error: StillpointError): Promise<void> => {
    const had = granted();
    // The state changes before the lock goes: nobody must rely on it any more from here on.
    if (!transition({ name: 'lost', granted: had, blockedMs: blockedMs(), error })) return;
    lost.abort(error);
    await had?.lock?.release();
    onEnd(blockedMs(), error);
  };
  const inForce = (): Granted => {
    if (state.name === 'held') return state.granted;
    if (state.name === 'lost') throw state.error;
    throw new StillpointError('HOLD_LOST', `The hold of operation ${operationId} is not in force: it is ${state.name}`);
  };
  const bounds = watchBounds(parts.bounds, clock, over.signal, lose);
  const driven = { operationId, state: () => state, granted, blockedMs, waitedMs, lost: lost.signal };
  return Object.assign(view(driven), {
    acquire: async (signal: AbortSignal) => {
      try {
        const taken = await parts.take(AbortSignal.any([signal, lost.signal]));
        if (transition({ name: 'held', granted: taken })) bounds.renew();
        else await letGo(taken);
        onLoss(taken, lose);
      } catch (error) {
        await lose(toStillpointError(error));
      }
      inForce();
    },
    renew: () => {
      inForce();
      bounds.renew();
      return blockedMs() - waitedMs();
    },
    attest: async () => {
      try {
        const position = await inForce().lock?.attest();
        inForce();
        return { position, heldMs: blockedMs() - waitedMs() };
      } catch (error) {
        await lose(toStillpointError(error));
        throw error;
      }
    },
    release: async () => {
      const had = inForce();
      await had.lock?.release();
      if (!transition({ name: 'released', granted: had, blockedMs: blockedMs() })) inForce();
      onEnd(blockedMs(), undefined);
      return blockedMs();
    },
    lose,
    dispose: async () => {
      await lose(new StillpointError('HOLD_LOST', `Operation ${operationId} has ended`));
      await granted()?.snapshots?.close();
    },
  });
}

interface Inside {
  readonly operationId: string;
  readonly lost: AbortSignal;
  state(): HoldState;
  granted(): Granted | undefined;
  blockedMs(): number;
  waitedMs(): number;
}

/** The hold as capture and publish see it: always as it is now. */
function view({ operationId, lost, state, granted, blockedMs, waitedMs }: Inside): Hold {
  const properties = {
    lock: () => granted()?.lock,
    position: () => granted()?.lock?.position,
    sources: () => granted()?.lock?.sources ?? [],
    snapshots: () => granted()?.snapshots,
    inForce: () => state().name === 'held',
    lockWaitMs: waitedMs,
    blockedMs,
  };
  const getters = Object.entries(properties).map(([name, get]) => [name, { get, enumerable: true }] as const);
  return Object.defineProperties({ operationId, lost } as Hold, Object.fromEntries(getters));
}

async function letGo({ lock, snapshots }: Granted): Promise<void> {
  await lock?.release();
  await snapshots?.close();
}

/** The server may have taken the lock away while it was being handed over. */
function onLoss({ lock }: Granted, lose: (error: StillpointError) => Promise<void>): void {
  const tell = (): void => void lose(toStillpointError(lock?.lost.reason));
  if (lock?.lost.aborted) tell();
  else lock?.lost.addEventListener('abort', tell, { once: true });
}
