import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { systemClock } from '@stillpoint/shared/time';
import { type Logger, pino } from 'pino';
import { openEngine } from '../columnstore/discovery/index.ts';
import { openControl } from '../columnstore/suspend/index.ts';
import { openSecondLock } from '../mariadb/second-lock.ts';
import { accountOf } from '../mariadb/session.ts';
import { cutOff } from './cut-off.ts';
import { createGuard, type Guard, SILENT_BEYOND_LEASE_MS } from './guard.ts';
import { announceGuardian } from './presence.ts';
import { RESUME_MS } from './see-writable.ts';
import { failureOf, type Instructions, lineOf, type Order, type Word } from './talk.ts';
import { createUndoer } from './undoer.ts';

/** How long to go on when writers had to be let go with the engine read-only. Then it is left to the next start of the agent. */
const CONCLUDE_MS = 10 * RESUME_MS;
const CUT_OFF_MS = 2_000;

const clock = systemClock;
const say = (word: Word): void => void process.stdout.write(lineOf(word));

// Whoever ends the agent politely ends this process through it: the order of release must be kept until the last step.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
// Nobody listens any more when the agent is gone.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

interface Duty {
  readonly guard: Guard;
  /** Resolves when there is nothing left to do, and nothing on disk says that there is. */
  over(): Promise<void>;
}

/** Gets ready: nothing is locked yet. Throws what would keep it from guarding. */
async function prepare(instructions: Instructions, log: Logger): Promise<Duty> {
  const { columnstore, isShared, leaseMs, mariadb, operationId, stateDir } = instructions;
  const signal = new AbortController().signal;
  const engine = await openEngine({ columnstore });
  if (engine === undefined) throw new StillpointError('COLUMNSTORE_CONFIG', `${columnstore.config} is gone`);
  if (engine.contradictions.length > 0) throw new StillpointError('COLUMNSTORE_CONFIG', engine.contradictions.join('; '));
  const control = openControl({ engine, config: columnstore, clock });
  const lock =
    mariadb === undefined ? undefined : await openSecondLock(accountOf(mariadb), leaseMs + SILENT_BEYOND_LEASE_MS, clock, signal);
  const presence = await announceGuardian(stateDir, operationId, leaseMs);
  const undoer = createUndoer({ config: { columnstore, stateDir }, clock, log, operationId });
  const conclude = async (): Promise<void> => {
    await undoer.begin();
    const enough = setTimeout(() => void undoer.stop(), CONCLUDE_MS);
    await undoer.ended();
    clearTimeout(enough);
  };
  const guard = createGuard({
    ...{ control, lock, leaseMs, clock, say, conclude },
    log: (level, message) => log[level]({ operation: operationId }, message),
    endShared: () => {
      if (isShared) endShared();
    },
    cutOff: () => cutOff(CUT_OFF_MS, clock),
  });
  const noted = guard.released.then(presence.released);
  return {
    guard,
    over: async () => {
      await guard.done;
      await noted;
      await presence.over();
    },
  };
}

/** Says goodbye for every process that has it open: the agent may be frozen. */
function endShared(): void {
  const connection = new Socket({ fd: SHARED, readable: false, writable: true });
  connection.on('error', () => undefined);
  connection.end();
}

const SHARED = 3;

/** One line of orders after the other, the first ones the instructions; the end of them is the end of the agent. */
async function serve(): Promise<void> {
  const log = pino({ base: null }, pino.destination({ dest: 2, sync: true }));
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done === true) return;
  const instructions = JSON.parse(first.value) as Instructions;
  const { guard, over } = await prepare(instructions, log);
  say({ word: 'ready' });
  const listen = async (): Promise<void> => {
    for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
      guard.hear((JSON.parse(line.value) as { readonly order: Order }).order);
    }
  };
  void listen()
    .catch(() => undefined)
    .then(() => guard.takeOver('the agent is gone'));
  await over();
}

try {
  await serve();
} catch (error) {
  say({ word: 'failed', error: failureOf(toStillpointError(error)) });
}
// The connection of an agent that is frozen would keep this process alive.
process.exit(0);
