import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { OperationKind } from '@stillpoint/shared/operation';
import { TaskSpecSchema, TaskState } from '@stillpoint/shared/proto';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeClock, fakeClock } from '../../../../test/harness/fake-clock.ts';
import type { Agent } from '../agent.ts';
import { createCaptures } from '../capture/index.ts';
import { createHolds } from '../hold/registry.ts';
import type { Repository } from '../repository/index.ts';
import { newState, type RestoreState, saveState } from '../restore/state.ts';
import { createTickets } from '../seed/index.ts';
import { TASK_DEFINITIONS } from '../task/definitions.ts';
import { createTaskRunner } from '../task/runner.ts';
import type { TaskDefinition } from '../task/types.ts';
import { type Claims, createClaims } from './claims.ts';
import { openJournal } from './journal.ts';
import { type OperationParts, operationRules, recoverOperation } from './lifecycle.ts';

let stateDir: string;
let clock: FakeClock;
let parts: OperationParts;
let claims: Claims;
let happened: string[];
let broken: boolean;

/** Works until it is told not to, and says why it ended. */
const endless = (name: string): TaskDefinition<'capture'> & TaskDefinition<'switch'> => ({
  run: (_agent, _spec, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        happened.push(`${name} ended: ${(signal.reason as Error).message}`);
        reject(signal.reason);
      });
    }),
});

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'stillpoint-lifecycle-'));
  clock = fakeClock();
  happened = [];
  broken = false;
  await newLife();
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

async function newLife(): Promise<void> {
  const log = pino({ level: 'silent' });
  const journal = await openJournal(stateDir);
  const server = {
    connect: () => expect.unreachable(),
    lock: async () => ({
      ...({ connectionId: 7, sources: [], requestedAt: clock.now(), grantedAt: clock.now(), waitedMs: 0 } as const),
      ...{ lost: new AbortController().signal, position: undefined as never, attest: undefined as never },
      ...{ ping: undefined as never, standsAt: undefined as never },
      release: async () => void happened.push('unlocked'),
    }),
    probe: async () => undefined,
    snapshots: async () => ({ tables: 0, sum: undefined as never, close: async () => void happened.push('snapshots closed') }),
  };
  const holds = createHolds({ server, clock, log, journal });
  const agent = {
    config: { node: 'db1', cluster: 'shop', repository: join(stateDir, 'repository'), stateDir },
    clock,
    log,
    holds,
    captures: createCaptures(),
  } as unknown as Agent;
  const repository = {
    removeUnfinishedPart: async (setId: string) => {
      if (broken) throw new Error('not mounted');
      happened.push(`part of ${setId} removed`);
      return true;
    },
  } as Partial<Repository> as Repository;
  const definitions = { ...TASK_DEFINITIONS, capture: endless('capture'), switch: endless('switch') };
  const tasks = createTaskRunner({ agent, journal, definitions });
  parts = { agent, journal, holds, tasks, repository, tickets: createTickets(clock) };
  claims = createClaims(operationRules(parts));
}

const claim = (operationId: string, kind: OperationKind = 'backup') => claims.claim({ operationId, kind, owner: 'ops', ttlMs: 10_000 });
const start = (task: MessageInitShape<typeof TaskSpecSchema>['task']) =>
  parts.tasks.start('op', task?.case ?? '', create(TaskSpecSchema, { task } as MessageInitShape<typeof TaskSpecSchema>));
const recorded = async (operationId = 'op'): Promise<string[]> => (await parts.journal.read(operationId)).map(({ type }) => type);

/** A backup in the middle of its capture. */
async function capturing(): Promise<{ ticket: string }> {
  await claim('op');
  const terms = { lockTimeoutMs: 500, leaseMs: 60_000, maxBlockMs: 60_000 };
  await parts.holds.take('op', { terms, checksums: { include: [], exclude: [], connections: 2 } as never }).granted;
  await start({ case: 'capture', value: { setId: 'set-1' } });
  return parts.tickets.grant('op', 'set-1', 60_000);
}

/** Lets time pass, with what happens on disk in between. */
async function passUntil(ms: number, condition: () => boolean | Promise<boolean>): Promise<void> {
  await clock.pass(ms);
  await expect.poll(condition).toBe(true);
}

describe('the end of a claim', () => {
  test('that ran out: writers go on first, then all the rest ends, and the record says so last', async () => {
    const { ticket } = await capturing();
    const hold = parts.holds.require('op');
    await passUntil(10_000, () => claims.current() === undefined);
    // Snapshots may be closed twice.
    expect([...new Set(happened)]).toEqual([
      'unlocked',
      'snapshots closed',
      'capture ended: The claim of the operation ran out',
      'part of set-1 removed',
    ]);
    expect(hold.lost.reason).toMatchObject({ code: 'CLAIM_MISSING' });
    expect(() => parts.tickets.redeem(ticket)).toThrow(expect.objectContaining({ code: 'TICKET_REFUSED' }));
    expect(parts.holds.get('op')).toBeUndefined();
    expect((await recorded()).toSorted()).toEqual(['claimed', 'held', 'let-go', 'released', 'task-ended', 'task-started']);
    expect((await recorded()).at(-1)).toBe('released');
  });

  test('that was given back: the same, but the hold was not lost', async () => {
    await capturing();
    const hold = parts.holds.require('op');
    await claims.release('op');
    expect(happened).toEqual(['unlocked', 'capture ended: The operation gave the node back', 'snapshots closed', 'part of set-1 removed']);
    expect(hold.lost.aborted).toBe(false);
    expect(await parts.tasks.cancel('op', 'capture')).toBe(TaskState.CANCELLED);
  });

  test('waits for the work of a restore', async () => {
    await claim('op', 'restore');
    await start({ case: 'switch', value: {} });
    await clock.pass(3_600_000);
    expect(claims.current()).toMatchObject({ operationId: 'op' });
    await parts.tasks.cancel('op', 'switch');
    await passUntil(1_000, () => claims.current() === undefined);
    expect(await recorded()).toEqual(['claimed', 'task-started', 'task-ended', 'released']);
  });

  test('frees the node even when something cannot be cleared up, which the next start of the agent tries again', async () => {
    await capturing();
    broken = true;
    await claims.release('op');
    expect(claims.current()).toBeUndefined();
    expect(happened).toContain('unlocked');
    expect(await recorded()).not.toContain('released');
    await claim('another');
    await newLife();
    await expect(recoverOperation(parts, 'op')).rejects.toThrow('not mounted');
    broken = false;
    happened = [];
    await recoverOperation(parts, 'op');
    expect(happened).toEqual(['part of set-1 removed']);
    expect((await recorded()).at(-1)).toBe('released');
  });
});

test('an operation that did not end before its agent did is ended by the next one, once', async () => {
  await claim('op');
  await parts.journal.append('op', { type: 'task-started', at: '', taskId: 'capture', spec: { capture: { setId: 'set-1' } } });
  await newLife();
  await recoverOperation(parts, 'op');
  await recoverOperation(parts, 'op');
  expect(happened).toEqual(['part of set-1 removed']);
  expect(await recorded()).toEqual(['claimed', 'task-started', 'released']);
});

test('of a record without a beginning nothing is undone', async () => {
  await parts.journal.append('op', { type: 'task-started', at: '', taskId: 'capture', spec: { capture: { setId: 'set-1' } } });
  await recoverOperation(parts, 'op');
  expect(happened).toEqual([]);
});

test('a backup that has ended cannot go on; what else has ended may', async () => {
  for (const kind of ['backup', 'restore', 'verify', 'delete'] as const) {
    await claim(kind, kind);
    await claims.release(kind);
  }
  await expect(claim('backup')).rejects.toMatchObject({ code: 'CLAIM_MISSING' });
  for (const kind of ['restore', 'verify', 'delete'] as const) {
    await claim(kind, kind);
    await claims.release(kind);
  }
});

describe('while a restore of the node', () => {
  const REFUSED = {
    staging: ['backup', 'restore'],
    staged: ['backup', 'restore'],
    switching: ['backup', 'restore'],
    switched: ['restore'],
    'rolling-back': ['backup', 'restore'],
    'rolled-back': [],
    finishing: ['backup', 'restore'],
    finished: [],
  } satisfies Record<RestoreState['phase'], OperationKind[]>;

  test.each(Object.entries(REFUSED) as [RestoreState['phase'], OperationKind[]][])(
    'is %s, others of kind [%s] are refused',
    async (phase, refused) => {
      await saveState(stateDir, restoreState(phase));
      for (const kind of ['backup', 'restore', 'verify', 'delete'] as const) {
        const asked = claim(`another-${kind}`, kind);
        if (refused.includes(kind)) {
          await expect(asked).rejects.toMatchObject({ code: 'RESTORE_UNFINISHED', message: `Restore restore-1 is ${phase} on this node` });
          continue;
        }
        await asked;
        await claims.release(`another-${kind}`);
      }
      await claim('restore-1', 'restore');
    },
  );

  test('has a journal that cannot be read, nobody restores or backs up', async () => {
    await saveState(stateDir, restoreState('finished'));
    writeFileSync(join(stateDir, 'restore', 'restore-1.json'), '{"format":');
    for (const kind of ['backup', 'restore'] as const) {
      await expect(claim('another', kind)).rejects.toMatchObject({
        code: 'RESTORE_UNFINISHED',
        message: expect.stringContaining('unreadable'),
      });
    }
  });
});

const restoreState = (phase: RestoreState['phase']): RestoreState => ({
  ...newState({
    ...{ operationId: 'restore-1', setId: 'set-1', partSha256: '', dbroots: [], columnstore: false, trees: [], made: [], gtidPosition: '' },
  }),
  phase,
});
