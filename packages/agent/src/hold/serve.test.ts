import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import { HoldPhase, type HoldRequest, HoldRequestSchema, MariadbPositionSchema } from '@stillpoint/shared/proto';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeClock, fakeClock } from '../../../../test/harness/fake-clock.ts';
import type { LockOptions } from '../mariadb/lock.ts';
import { type Journal, openJournal } from '../operation/journal.ts';
import type { HoldAnswer } from './answers.ts';
import { createHolds, type Holds } from './registry.ts';
import { serveHold } from './serve.ts';

/** A lock that a hold waits for: the test grants it, or does not. */
interface Asked {
  readonly options: LockOptions;
  grant(): void;
}

let stateDir: string;
let clock: FakeClock;
let journal: Journal;
let holds: Holds;
let asked: Asked[];
let log: string[];

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'stillpoint-hold-'));
  clock = fakeClock();
  asked = [];
  log = [];
  journal = await openJournal(stateDir);
  const server = { probe: async () => undefined, lock, connect: () => expect.unreachable(), snapshots: () => expect.unreachable() };
  holds = createHolds({ server, clock, log: pino({ level: 'silent' }), journal });
});
afterEach(async () => {
  await holds.loseAll(new StillpointError('HOLD_LOST', 'the test is over'));
  // Records are written behind; the last one is on disk when this one is.
  await journal.append('op', { type: 'released', at: '' });
  rmSync(stateDir, { recursive: true, force: true });
});

async function lock(options: LockOptions) {
  const connectionId = asked.length + 1;
  const granted = Promise.withResolvers<void>();
  log.push(`lock ${connectionId}`);
  asked.push({ options, grant: granted.resolve });
  options.signal.addEventListener('abort', () => granted.reject(options.signal.reason), { once: true });
  await granted.promise;
  const position = create(MariadbPositionSchema, { logBin: true, file: 'bin.000001', offset: 4n });
  return {
    ...{ connectionId, position, sources: [], requestedAt: clock.now(), grantedAt: clock.now(), waitedMs: 0 },
    lost: new AbortController().signal,
    ping: async () => undefined,
    standsAt: async () => true,
    attest: async () => position,
    release: async () => void log.push(`unlock ${connectionId}`),
  };
}

type Request = NonNullable<MessageInitShape<typeof HoldRequestSchema>['request']>;
const ACQUIRE: Request = {
  case: 'acquire',
  value: { operationId: 'op', lockTimeout: durationFromMs(500), lease: durationFromMs(3_000), maxBlock: durationFromMs(10_000) },
};
const ATTACH: Request = { case: 'attach', value: { operationId: 'op' } };
const ATTEST: Request = { case: 'attest', value: {} };
const RENEW: Request = { case: 'renew', value: {} };
const RELEASE: Request = { case: 'release', value: {} };

/** A controller's end of a stream. */
function stream(...first: Request[]) {
  const requests: HoldRequest[] = [];
  const heard: HoldAnswer['case'][] = [];
  const broken = new AbortController();
  let wake = (): void => undefined;
  const say = (...more: Request[]): void => {
    for (const request of more) requests.push(create(HoldRequestSchema, { request }));
    wake();
  };
  async function* said(): AsyncGenerator<HoldRequest> {
    for (;;) {
      const next = requests.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const desk = {
    node: 'db1',
    holds,
    requireClaim: (operationId: string): void => {
      if (operationId !== 'op') throw new StillpointError('CLAIM_MISSING', 'it is of another');
    },
  };
  const listen = async (): Promise<string> => {
    for await (const { response } of serveHold(desk, said(), broken.signal)) heard.push(response.case);
    return 'ended';
  };
  const end = listen().catch((error: unknown) => (error instanceof StillpointError ? error.code : String(error)));
  say(...first);
  return { heard, say, end, breakOff: () => broken.abort(new Error('broken')) };
}

/** Lets everything happen that needs no time. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await clock.pass(0);
};
const grant = async (): Promise<void> => {
  await settle();
  asked.at(-1)?.grant();
  await settle();
};

test('answers come in order, the last one ends the stream, and nothing is held then', async () => {
  const talk = stream(ACQUIRE);
  await grant();
  talk.say(RENEW, ATTEST);
  await settle();
  talk.say({ case: 'advance', value: { phase: HoldPhase.QUIESCE } });
  await settle();
  talk.say(RELEASE, RENEW);
  expect(await talk.end).toBe('ended');
  expect(talk.heard).toEqual(['acquired', 'renewed', 'attested', 'advanced', 'released']);
  expect(log).toEqual(['lock 1', 'unlock 1']);
});

describe('a hold that is made ready first', () => {
  const PREPARE: Request = { case: 'prepare', value: ACQUIRE.value };

  test('asks for no lock before it is told to, and then takes the same one', async () => {
    const talk = stream(PREPARE);
    await settle();
    expect([talk.heard, log]).toEqual([['ready'], []]);
    const made = holds.get('op');
    talk.say(ACQUIRE);
    await grant();
    expect(holds.get('op')).toBe(made);
    talk.say(RELEASE);
    expect(await talk.end).toBe('ended');
    expect([talk.heard, log]).toEqual([
      ['ready', 'acquired', 'released'],
      ['lock 1', 'unlock 1'],
    ]);
  });

  test('may be given back without ever being taken', async () => {
    const talk = stream(PREPARE);
    await settle();
    talk.say(RELEASE);
    expect(await talk.end).toBe('ended');
    expect([talk.heard, log]).toEqual([['ready', 'released'], []]);
  });

  test('is over with its stream: nobody else knows of it', async () => {
    const talk = stream(PREPARE);
    await settle();
    talk.breakOff();
    await talk.end;
    await settle();
    expect(holds.get('op')?.state.at).toBe('released');
  });

  test('is taken once', async () => {
    const talk = stream(PREPARE);
    await settle();
    talk.say(ACQUIRE);
    await grant();
    talk.say(ACQUIRE);
    expect(await talk.end).toBe('USAGE');
  });

  test('by an operation without the claim is refused', async () => {
    const value = { ...ACQUIRE.value, operationId: 'other' } as typeof ACQUIRE.value;
    expect(await stream({ case: 'prepare', value } as Request).end).toBe('CLAIM_MISSING');
  });
});

test('an attestation that comes before the lock is granted waits for it', async () => {
  const talk = stream(ACQUIRE, ATTEST);
  await settle();
  expect(talk.heard).toEqual([]);
  await grant();
  expect(talk.heard).toEqual(['acquired', 'attested']);
});

test('a renewal neither waits nor is answered before there is something to renew', async () => {
  const talk = stream(ACQUIRE, RENEW);
  await grant();
  expect(talk.heard).toEqual(['acquired']);
});

test('a release is not kept waiting by the lock', async () => {
  const talk = stream(ACQUIRE, ATTEST, RELEASE);
  expect(await talk.end).toBe('ended');
  expect(talk.heard).toEqual(['released']);
});

test('a stream that breaks while the lock is waited for gives up the wait', async () => {
  const talk = stream(ACQUIRE);
  await settle();
  talk.breakOff();
  await talk.end;
  expect(asked[0]?.options.signal.aborted).toBe(true);
});

test('a stream that breaks under the lock releases nothing; another one attaches and is told where things stand', async () => {
  const talk = stream(ACQUIRE);
  await grant();
  talk.breakOff();
  await talk.end;
  await clock.pass(2_900);
  const again = stream(ATTACH, ATTEST);
  await settle();
  expect(again.heard).toEqual(['acquired', 'attested']);
  // Attaching is a sign of life.
  await clock.pass(2_900);
  expect(log).toEqual(['lock 1']);
  again.say(RELEASE);
  await again.end;
  expect(log).toEqual(['lock 1', 'unlock 1']);
});

test('whoever attaches too late is told how it ended, and nothing else', async () => {
  const talk = stream(ACQUIRE);
  await grant();
  talk.breakOff();
  await clock.pass(3_000);
  const late = stream(ATTACH, ATTEST, RENEW);
  expect(await late.end).toBe('ended');
  expect(late.heard).toEqual(['failed']);
});

test('two streams about one hold both hear its end', async () => {
  const talks = [stream(ACQUIRE)];
  await grant();
  talks.push(stream(ATTACH));
  await settle();
  await clock.pass(3_000);
  for (const talk of talks) {
    expect(await talk.end).toBe('ended');
    expect(talk.heard).toEqual(['acquired', 'failed']);
  }
});

test('who asks anew gets a hold of its own; the earlier one is let go before', async () => {
  const talk = stream(ACQUIRE);
  await grant();
  const again = stream(ACQUIRE);
  await grant();
  expect(await talk.end).toBe('ended');
  expect(talk.heard).toEqual(['acquired', 'released']);
  expect(again.heard).toEqual(['acquired']);
  expect(log).toEqual(['lock 1', 'unlock 1', 'lock 2']);
});

test.each<[string, string, Request[]]>([
  ['USAGE', 'a renewal of nothing', [RENEW]],
  ['USAGE', 'nothing', [{ case: undefined }] as unknown as Request[]],
  ['USAGE', 'a hold without bounds', [{ case: 'acquire', value: { operationId: 'op' } }]],
  ['USAGE', 'an id that is none', [{ case: 'attach', value: { operationId: '../op' } }]],
  ['CLAIM_MISSING', 'a hold without the claim', [{ ...ACQUIRE, value: { ...ACQUIRE.value, operationId: 'other' } } as Request]],
  ['HOLD_LOST', 'a hold that never was', [ATTACH]],
])('%s for a stream that begins with %s', async (code, _, requests) => {
  expect(await stream(...requests).end).toBe(code);
  expect(log).toEqual([]);
});

test('a second hold on one stream is refused and not taken; the first one lives on its lease', async () => {
  const talk = stream(ACQUIRE);
  await grant();
  talk.say(ACQUIRE);
  expect(await talk.end).toBe('USAGE');
  await settle();
  expect(log).toEqual(['lock 1']);
  await clock.pass(3_000);
  expect(log).toEqual(['lock 1', 'unlock 1']);
});

test('an agent that stops lets go, tells so, and takes nothing any more', async () => {
  const talk = stream(ACQUIRE);
  await grant();
  await holds.loseAll(new StillpointError('HOLD_LOST', 'The agent was stopped'));
  expect(log).toEqual(['lock 1', 'unlock 1']);
  expect(await talk.end).toBe('ended');
  expect(talk.heard).toEqual(['acquired', 'failed']);
  expect(await stream(ACQUIRE).end).toBe('HOLD_LOST');
  expect(log).toEqual(['lock 1', 'unlock 1']);
});
