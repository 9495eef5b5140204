import { type ChannelInterface, connectivityState } from '@grpc/grpc-js';
import type { TlsMaterial } from './material.ts';
import { noAnswer, probe } from './probe.ts';
import { untilAborted } from './streams.ts';
import type { Target } from './types.ts';

/** Resolves when a connection stands. */
export type Connector = (signal: AbortSignal, timeoutMs: number) => Promise<void>;

/**
 * Waits until a channel's connection stands, at most `timeoutMs`. Throws NODE_UNREACHABLE, TLS_REFUSED or
 * NODE_MISMATCH, or the signal's reason.
 *
 * The library tells that a connection failed, not why (with TLS 1.3 a client's handshake is over before the server has
 * looked at its certificate). So a failure is followed by one connection of our own that looks closely; if that one
 * succeeds, the trouble is over and the channel will find out by itself.
 */
export function connector(channel: ChannelInterface, target: Target, material: TlsMaterial): Connector {
  let probing: Promise<void> | undefined;
  const diagnose = (): Promise<void> => {
    probing ??= probe(target, material).finally(() => {
      probing = undefined;
    });
    return probing;
  };
  return async (signal, timeoutMs) => {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return;
      if (state === connectivityState.TRANSIENT_FAILURE) await untilAborted(signal, diagnose());
      await untilAborted(signal, stateChange(channel, state, deadline));
      if (Date.now() >= deadline) throw noAnswer(target, timeoutMs);
    }
  };
}

/** Resolves when the channel leaves `state`, or at the deadline. */
const stateChange = (channel: ChannelInterface, state: connectivityState, deadline: number): Promise<void> =>
  new Promise((resolve) => channel.watchConnectivityState(state, deadline, () => resolve()));
