import type { Clock } from '@stillpoint/shared/time';
import { beforeEach, expect, test } from 'vitest';
import { createTickets, type Tickets } from './index.ts';

let now: number;
let tickets: Tickets;
const clock: Clock = { now: () => new Date(now), monotonicMs: () => now, sleep: () => Promise.resolve() };
beforeEach(() => {
  now = 1_000_000;
  tickets = createTickets(clock);
});
const refused = expect.objectContaining({ code: 'TICKET_REFUSED' });

test('a ticket is good for its set until it expires', () => {
  const { ticket, expiresAt } = tickets.grant('restore-1', 'set-1', 5000);
  expect(expiresAt.getTime()).toBe(now + 5000);
  now += 4999;
  expect(tickets.redeem(ticket)).toMatchObject({ operationId: 'restore-1', setId: 'set-1' });
  now += 1;
  expect(() => tickets.redeem(ticket)).toThrow(refused);
});

test('a guess is refused, and no two tickets are alike', () => {
  const first = tickets.grant('restore-1', 'set-1', 5000).ticket;
  expect(tickets.grant('restore-1', 'set-1', 5000).ticket).not.toBe(first);
  expect(first.length).toBeGreaterThanOrEqual(43);
  expect(() => tickets.redeem(`${first.slice(0, -1)}?`)).toThrow(refused);
  expect(() => tickets.redeem('')).toThrow(refused);
});

test('the end of an operation takes its tickets back, and no others', () => {
  const mine = tickets.grant('restore-1', 'set-1', 5000).ticket;
  const other = tickets.grant('restore-2', 'set-1', 5000).ticket;
  tickets.revoke('restore-1');
  expect(() => tickets.redeem(mine)).toThrow(refused);
  expect(tickets.redeem(other).operationId).toBe('restore-2');
});

test('no ticket is good for longer than a day, nor one of negative length', () => {
  expect(tickets.grant('o', 's', 1e12).expiresAt.getTime()).toBe(now + 86_400_000);
  expect(() => tickets.redeem(tickets.grant('o', 's', -5).ticket)).toThrow(refused);
});
