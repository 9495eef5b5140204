import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { create } from '@bufbuild/protobuf';
import { IoClass, PrioritySchema } from '@stillpoint/shared/proto';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../../../../test/harness/eventually.ts';
import { ionice } from '../../../../test/harness/ionice.ts';
import { comeBack, mayComeBack, untilWritersWait } from './come-back.ts';
import { ioArgumentsOf } from './io.ts';
import { backLauncher } from './words.ts';

const OWN = getPriority();
const asked = create(PrioritySchema, { nice: OWN + 4, ioClass: IoClass.IDLE });
const obstacle = (await mayComeBack()) ? undefined : 'this user may not take a priority back';

const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

const threadsOf = (pid: number): number[] => readdirSync(`/proc/${pid}/task`).map(Number);

/** zstd with threads of its own, which has read something and waits for more, stepped back as a backup would have it. */
async function steppedBack(): Promise<number> {
  const [launcher = '', ...words] = await backLauncher(asked);
  const child = spawn(launcher, [...words, 'zstd', '-q', '-T3', '-c'], { stdio: ['pipe', 'ignore', 'ignore'] });
  running.push(child);
  child.stdin?.write(Buffer.alloc(100_000));
  const pid = child.pid ?? 0;
  await eventually(() => threadsOf(pid).length > 1);
  return pid;
}

test('a program comes back with all of its threads, for processors and disks', async ({ skip }) => {
  skip(obstacle !== undefined, obstacle);
  const pid = await steppedBack();
  const own = ionice(process.pid);
  expect(new Set(threadsOf(pid).map((thread) => getPriority(thread)))).toEqual(new Set([OWN + 4]));
  expect(new Set(threadsOf(pid).map(ionice))).toEqual(new Set(['-c 3']));
  await comeBack([pid]);
  expect(new Set(threadsOf(pid).map((thread) => getPriority(thread)))).toEqual(new Set([OWN]));
  expect(new Set(threadsOf(pid).map(ionice))).toEqual(new Set([own]));
});

test('threads that it begins meanwhile come back too', async ({ skip }) => {
  skip(obstacle !== undefined, obstacle);
  const script = `const { Worker } = require('node:worker_threads');
    const begin = () => new Worker('', { eval: true }).once('exit', begin);
    for (let count = 0; count < 4; count += 1) begin();`;
  const child = spawn('nice', ['-n', '4', process.execPath, '-e', script], { stdio: 'ignore' });
  running.push(child);
  const pid = child.pid ?? 0;
  await eventually(() => threadsOf(pid).length > 8 && getPriority(pid) === OWN + 4);
  await comeBack([pid]);
  expect(
    threadsOf(pid)
      .map((thread) => niceOf(thread))
      .filter((nice) => nice !== undefined && nice !== OWN),
  ).toEqual([]);
});

function niceOf(thread: number): number | undefined {
  try {
    return getPriority(thread);
  } catch {
    return undefined;
  }
}

test('one that has ended is passed over', async () => {
  const child = spawn('true', { stdio: 'ignore' });
  await new Promise((resolve) => child.once('exit', resolve));
  await comeBack([child.pid ?? 0]);
});

test('programs step back until writers wait as far as was asked for, where they may come back', async ({ skip }) => {
  skip(obstacle !== undefined, obstacle);
  expect(await untilWritersWait(asked)).toEqual({ priority: asked, unheeded: [] });
  expect(await untilWritersWait(undefined)).toEqual({ priority: undefined, unheeded: [] });
  expect(await untilWritersWait(create(PrioritySchema, {}))).toEqual({ priority: undefined, unheeded: [] });
});

test('where they may not, they keep their priority for the processor, and that is told', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  running.push(child);
  setPriority(child.pid ?? 0, OWN + 4);
  const without = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-sys_nice', '--inh-caps=-all'] : [];
  const fixture = fileURLToPath(new URL('./fixture/may-child.ts', import.meta.url));
  const [program = '', ...args] = [...without, process.execPath, '-C', 'source', fixture, String(child.pid)];
  expect(JSON.parse(execFileSync(program, args, { encoding: 'utf8' }))).toEqual({
    may: false,
    nice: 0,
    ioClass: IoClass.IDLE,
    unheeded: [expect.stringMatching(/^backup\.nice is not heeded for mariadb-backup/)],
    ended: 'CAPTURE_FAILED',
  });
});

test.each([
  ['none: prio 0', ['-c', '0']],
  ['none: prio 4\n', ['-c', '0']],
  ['best-effort: prio 6', ['-c', '2', '-n', '6']],
  ['realtime: prio 1', ['-c', '1', '-n', '1']],
  ['idle', ['-c', '3']],
  ['', ['-c', '0']],
])('what ionice says (%j) is what it is told', (text, expected) => {
  expect(ioArgumentsOf(text)).toEqual(expected);
});
