import { randomBytes } from 'node:crypto';
import { StillpointError } from '@stillpoint/shared/errors';
import { sha256Of } from '@stillpoint/shared/manifest';
import type { Clock } from '@stillpoint/shared/time';

/** What a ticket entitles to. */
export interface Grant {
  readonly operationId: string;
  /** Whose part of it; empty for a ticket that is good for the block resolution manager. */
  readonly setId: string;
  readonly expiresAt: Date;
}

/** Long enough for any transfer that began in time, short enough for a forgotten one. */
const LONGEST_VALIDITY_MS = 24 * 3_600_000;

/**
 * Tickets with which other agents may fetch this node's part of a set. They live in memory: after a restart of the
 * agent the controller asks for new ones.
 */
export interface Tickets {
  /** A new ticket, good for at most a day. The ticket is a secret. */
  grant(operationId: string, setId: string, validForMs: number): { readonly ticket: string; readonly expiresAt: Date };
  /** The same for the current block resolution manager of the engine. */
  grantBrm(operationId: string, validForMs: number): { readonly ticket: string; readonly expiresAt: Date };
  /** What a ticket entitles to. Throws TICKET_REFUSED when it is unknown or expired. */
  redeem(ticket: string): Grant;
  /** Takes back every ticket of an operation: it has ended. */
  revoke(operationId: string): void;
}

/** No tickets yet. */
export function createTickets(clock: Clock): Tickets {
  // Found by digest: looking a guess up takes the same time however much of it is right.
  const grants = new Map<string, Grant & { readonly deadlineMs: number }>();
  const keyOf = (ticket: string): string => sha256Of(new TextEncoder().encode(ticket));
  const sweep = (): void => {
    for (const [key, { deadlineMs }] of grants) if (deadlineMs <= clock.monotonicMs()) grants.delete(key);
  };
  const grant: Tickets['grant'] = (operationId, setId, validForMs) => {
    sweep();
    const ms = Math.max(0, Math.min(validForMs, LONGEST_VALIDITY_MS));
    const ticket = randomBytes(32).toString('base64url');
    const expiresAt = new Date(clock.now().getTime() + ms);
    grants.set(keyOf(ticket), { operationId, setId, expiresAt, deadlineMs: clock.monotonicMs() + ms });
    return { ticket, expiresAt };
  };
  return {
    grant,
    grantBrm: (operationId, validForMs) => grant(operationId, '', validForMs),
    redeem: (ticket) => {
      sweep();
      const grant = grants.get(keyOf(ticket));
      if (grant === undefined) throw new StillpointError('TICKET_REFUSED', 'The ticket is unknown here or has expired');
      return grant;
    },
    revoke: (operationId) => {
      for (const [key, grant] of grants) if (grant.operationId === operationId) grants.delete(key);
    },
  };
}
