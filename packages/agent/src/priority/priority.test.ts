import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { create } from '@bufbuild/protobuf';
import { IoClass, type Priority, PrioritySchema } from '@stillpoint/shared/proto';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../../../../test/harness/eventually.ts';
import { runProgram } from '../process/index.ts';
import { liftLimit, limitNode } from '../throttle/node.ts';
import { letStepBack } from './node.ts';
import { backLauncher, unheeded } from './words.ts';

const NICE = getPriority() + 3;
const asked: Priority = create(PrioritySchema, { nice: NICE, ioClass: IoClass.BEST_EFFORT, ioLevel: 6 });
afterEach(() => letStepBack(undefined));

const ionice = (thread: number): string => execFileSync('ionice', ['-p', String(thread)], { encoding: 'utf8' }).trim();

/** A thread that steps back and then waits; gives its id. */
async function started(): Promise<{ readonly thread: number; readonly end: () => Promise<number> }> {
  const worker = new Worker(new URL('./fixture/back-child.ts', import.meta.url), { execArgv: ['-C', 'source'] });
  const [thread] = (await once(worker, 'message')) as [number];
  return { thread, end: () => worker.terminate() };
}

test('a thread steps back alone', async () => {
  limitNode(0);
  const own = [getPriority(), ionice(process.pid)];
  letStepBack(asked);
  const { thread, end } = await started();
  await eventually(() => ionice(thread) === 'best-effort: prio 6');
  expect(getPriority(thread)).toBe(NICE);
  expect([getPriority(), ionice(process.pid)]).toEqual(own);
  await end();
});

test('not while writers wait, nor when nothing was asked for', async () => {
  limitNode(0);
  const own = getPriority();
  letStepBack(asked);
  const lower = liftLimit();
  const waited = await started();
  lower();
  letStepBack(create(PrioritySchema, {}));
  const unasked = await started();
  // One that does, after them: messages arrive in their order.
  letStepBack(asked);
  const back = await started();
  await eventually(() => getPriority(back.thread) === NICE);
  expect([getPriority(waited.thread), getPriority(unasked.thread)]).toEqual([own, own]);
  await Promise.all([waited, unasked, back].map(({ end }) => end()));
});

test('a program is begun further back', async () => {
  const launcher = await backLauncher(asked);
  const { stdout } = await runProgram('sh', ['-c', 'nice; ionice -p $$'], { launcher });
  expect(stdout).toBe(`${NICE}\nbest-effort: prio 6\n`);
  expect(await backLauncher(create(PrioritySchema, {}))).toEqual([]);
  expect(await backLauncher(undefined)).toEqual([]);
  expect(await unheeded(asked)).toEqual([]);
});

test('what is missing for it is told', async () => {
  const path = process.env.PATH;
  process.env.PATH = '/nowhere';
  try {
    // Programs in sbin are found whatever the path is.
    const sentence = expect.stringContaining('ionice of util-linux is not installed');
    expect(await unheeded(asked)).toEqual(existsSync('/usr/sbin/ionice') ? [] : [sentence]);
  } finally {
    process.env.PATH = path;
  }
});
