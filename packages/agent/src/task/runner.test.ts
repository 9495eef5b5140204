import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { type TaskSpec, TaskSpecSchema, TaskState } from '@stillpoint/shared/proto';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeClock, fakeClock } from '../../../../test/harness/fake-clock.ts';
import type { Agent } from '../agent.ts';
import { openJournal } from '../operation/journal.ts';
import { TASK_DEFINITIONS } from './definitions.ts';
import { recoverTasks, type TaskSurroundings } from './record.ts';
import { createTaskRunner, type TaskRunner } from './runner.ts';
import type { TaskEvent } from './task.ts';
import type { TaskContext, TaskDefinition } from './types.ts';

/** A run of the verification below that waits for the test. */
interface Run {
  readonly context: TaskContext;
  succeed(bytes: bigint): void;
  fail(error: unknown): void;
}

let stateDir: string;
let clock: FakeClock;
let around: TaskSurroundings;
let runner: TaskRunner;
let runs: Run[];
let recovered: string[];

/** Verification and staging as the test conducts them: tasks obey their signal as the real ones do. */
function conducted(): Pick<TaskSurroundings['definitions'], 'verify' | 'stage'> {
  const run = (context: TaskContext): Promise<{ result: { case: 'verify'; value: { bytes: bigint } } }> =>
    new Promise((resolve, reject) => {
      context.signal.addEventListener('abort', () => reject(context.signal.reason), { once: true });
      runs.push({ context, succeed: (bytes) => resolve({ result: { case: 'verify', value: { bytes } } }), fail: reject });
    });
  const verify: TaskDefinition<'verify'> = {
    run: (_agent, _spec, context) => run(context),
    recover: async (_agent, { setId }, operationId) => {
      recovered.push(`${operationId} ${setId}`);
      if (setId === 'stubborn') throw new Error('it cannot be cleared up');
    },
  };
  return { verify, stage: { run: (_agent, _spec, context) => run(context) } };
}

async function newLife(): Promise<void> {
  const log = pino({ level: 'silent' });
  const holds = { get: () => undefined, require: () => expect.unreachable() };
  const agent = { config: { node: 'db1' }, clock, log, holds } as unknown as Agent;
  around = { agent, journal: await openJournal(stateDir), definitions: { ...TASK_DEFINITIONS, ...conducted() } };
  runner = createTaskRunner(around);
}

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'stillpoint-tasks-'));
  clock = fakeClock();
  runs = [];
  recovered = [];
  await newLife();
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

type TaskEvents = Extract<TaskEvent['event'], { case: string }>[];

const verification = (setId = 'set-1'): TaskSpec => create(TaskSpecSchema, { task: { case: 'verify', value: { setId } } });
const start = (spec = verification(), taskId = 'verify') => runner.start('op', taskId, spec);
const watch = async (signal = new AbortController().signal): Promise<TaskEvents> => {
  const events: TaskEvents = [];
  for await (const { event } of runner.watch('op', 'verify', signal)) if (event?.case !== undefined) events.push(event);
  return events;
};
const last = (): Run => {
  const run = runs.at(-1);
  if (run === undefined) throw new Error('nothing runs');
  return run;
};
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no error',
    (error: StillpointError) => error.code,
  );

describe('starting', () => {
  test('twice, or ten times at once, runs it once', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => start()));
    expect(answers.map(({ started }) => started)).toEqual([true, ...Array.from({ length: 9 }, () => false)]);
    expect(runs).toHaveLength(1);
  });

  test('another content under the same id is a conflict', async () => {
    await start();
    expect(await codeOf(start(verification('set-2')))).toBe('TASK_CONFLICT');
  });

  test('what succeeded is not run again; what failed is', async () => {
    await start();
    last().fail(new StillpointError('PART_CORRUPT', 'flipped'));
    expect((await watch()).at(-1)).toMatchObject({ value: { state: TaskState.FAILED, error: { code: 'PART_CORRUPT', node: 'db1' } } });
    expect(await start()).toEqual({ state: TaskState.RUNNING, started: true });
    last().succeed(7n);
    await watch();
    expect(await start()).toEqual({ state: TaskState.SUCCEEDED, started: false });
    expect(runs).toHaveLength(2);
  });

  test('a spec that names no kind is refused', async () => {
    expect(await codeOf(start(create(TaskSpecSchema, {})))).toBe('USAGE');
  });

  test('a retry with a fresh ticket is the same task, and no ticket is written down', async () => {
    const stage = (ticket: string): TaskSpec =>
      create(TaskSpecSchema, { task: { case: 'stage', value: { setId: 'set-1', seed: { address: 'db1:7443', ticket } } } });
    await start(stage('secret-ticket-1'), 'stage');
    last().fail(new StillpointError('CONNECTION_LOST', 'gone'));
    await clock.pass(0);
    await expect.poll(() => start(stage('secret-ticket-2'), 'stage')).toMatchObject({ started: true });
    const files = await readdir(join(stateDir, 'operations'));
    const texts = await Promise.all(files.map((name) => readFile(join(stateDir, 'operations', name), 'utf8')));
    expect(texts.join()).toContain('db1:7443');
    expect(texts.join()).not.toContain('secret-ticket');
  });

  test('what cannot be recorded does not start, and leaves nothing that seems to run', async () => {
    await rm(stateDir, { recursive: true });
    expect(await codeOf(start())).not.toBe('no error');
    expect(runs).toHaveLength(0);
    expect(runner.outlivesClaim('op')).toBe(false);
    await runner.endAll('op', new StillpointError('CANCELLED', 'over'));
  });
});

describe('watching', () => {
  test('tells the present state at once, then the end, to any number of watchers', async () => {
    await start();
    last().context.progress('copy', 10, 100);
    const watchers = [watch(), watch()];
    await clock.pass(1);
    last().succeed(3n);
    for (const events of await Promise.all(watchers)) {
      expect(events[0]).toMatchObject({ case: 'progress', value: { step: 'copy', bytesDone: 10n, bytesTotal: 100n } });
      expect(events.at(-1)).toMatchObject({ case: 'ended', value: { state: TaskState.SUCCEEDED } });
    }
  });

  test('tells progress at most ten times a second, and always the latest', async () => {
    await start();
    const watching = watch();
    for (let ms = 0; ms < 1_000; ms++) {
      last().context.progress('copy', ms, 1_000);
      await clock.pass(1);
    }
    last().succeed(1n);
    const shown = (await watching).flatMap((event) => (event.case === 'progress' ? [Number(event.value.bytesDone)] : []));
    expect(shown.length).toBeGreaterThan(5);
    expect(shown.length).toBeLessThanOrEqual(11);
    expect(shown.at(-1)).toBeGreaterThan(850);
  });

  test('lines of the log are told once: the early ones to the first watcher, none again to the next', async () => {
    await start();
    last().context.log('first');
    const gone = new AbortController();
    const first: unknown[] = [];
    const watching = (async () => {
      for await (const { event } of runner.watch('op', 'verify', gone.signal)) first.push(event?.value);
    })();
    await clock.pass(1);
    gone.abort(new Error('the watcher has gone'));
    await expect(watching).rejects.toThrow('the watcher has gone');
    expect(first).toMatchObject([{ message: 'first' }]);
    last().context.log('second');
    last().succeed(1n);
    expect(await watch()).toMatchObject([{ value: { message: 'second' } }, { case: 'ended' }]);
  });

  test('an unknown task is said to be unknown', async () => {
    expect(await codeOf(watch())).toBe('TASK_UNKNOWN');
  });
});

describe('ending', () => {
  test('cancel waits for the end and tells the state', async () => {
    await start();
    expect(await runner.cancel('op', 'verify')).toBe(TaskState.CANCELLED);
    expect(await runner.cancel('op', 'verify')).toBe(TaskState.CANCELLED);
    expect((await watch()).at(-1)).toMatchObject({ value: { state: TaskState.CANCELLED, error: { code: 'CANCELLED' } } });
  });

  test('of an operation cancels its tasks with the reason; what became of them is still told', async () => {
    await start();
    await runner.endAll('op', new StillpointError('CLAIM_MISSING', 'it ran out'));
    expect(await watch()).toMatchObject([{ case: 'ended', value: { state: TaskState.CANCELLED, error: { code: 'CLAIM_MISSING' } } }]);
  });

  test('a stop interrupts, and starts nothing any more', async () => {
    await start();
    expect(await runner.stop(1_000)).toBe(true);
    expect((await watch()).at(-1)).toMatchObject({ value: { state: TaskState.INTERRUPTED, error: { code: 'TASK_INTERRUPTED' } } });
    expect(await codeOf(start(verification(), 'other'))).toBe('TASK_INTERRUPTED');
  });

  test('only the work of a restore outlives the claim', async () => {
    await start();
    expect(runner.outlivesClaim('op')).toBe(false);
    await start(create(TaskSpecSchema, { task: { case: 'stage', value: { setId: 'set-1' } } }), 'stage');
    expect(runner.outlivesClaim('op')).toBe(true);
    expect(runner.outlivesClaim('other')).toBe(false);
  });

  test('what a bug throws is told as one', async () => {
    await start();
    last().fail(new TypeError('undefined is not a function'));
    expect((await watch()).at(-1)).toMatchObject({ value: { state: TaskState.FAILED, error: { code: 'INTERNAL' } } });
  });
});

describe('after a restart', () => {
  test('finished tasks are answered as before, and not run again', async () => {
    await start();
    last().succeed(42n);
    const before = await watch();
    await newLife();
    expect(await watch()).toEqual(before.filter((event) => event.case === 'ended'));
    expect(await start()).toEqual({ state: TaskState.SUCCEEDED, started: false });
    expect(await codeOf(start(verification('set-2')))).toBe('TASK_CONFLICT');
  });

  test('what was running is interrupted, cleared up, and may be started again', async () => {
    await start();
    await newLife();
    await recoverTasks(around, 'op');
    expect(recovered).toEqual(['op set-1']);
    expect(await watch()).toMatchObject([{ value: { state: TaskState.INTERRUPTED, error: { code: 'TASK_INTERRUPTED', node: 'db1' } } }]);
    await recoverTasks(around, 'op');
    expect(recovered).toHaveLength(1);
    expect(await start()).toMatchObject({ started: true });
  });

  test('what one task cannot clear up does not keep the others from it', async () => {
    await start(verification('stubborn'), 'one');
    await start(verification('set-2'), 'two');
    await newLife();
    await recoverTasks(around, 'op');
    expect(recovered).toEqual(['op stubborn', 'op set-2']);
  });
});
