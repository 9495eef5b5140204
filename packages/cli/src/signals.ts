import { StillpointError } from '@stillpoint/shared/errors';

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What signals do to a command. */
export interface SignalHandling {
  /** Aborted with CANCELLED by the first signal. */
  readonly signal: AbortSignal;
  /** Takes the handlers away again. */
  dispose(): void;
}

/**
 * The first SIGINT, SIGTERM or SIGHUP asks for an orderly end: `first` may say so. The second one calls `again`, which
 * ends the process: agents let go by themselves when nobody renews their leases.
 */
export function handleSignals(first: (name: string) => void, again: () => void): SignalHandling {
  const controller = new AbortController();
  const receive = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      again();
    } else {
      first(name);
      controller.abort(new StillpointError('CANCELLED', `cancelled by ${name}`));
    }
  };
  for (const name of ENDING) process.on(name, receive);
  return {
    signal: controller.signal,
    dispose: () => {
      for (const name of ENDING) process.off(name, receive);
    },
  };
}
