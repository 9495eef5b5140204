import { copyFile, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../../../test/harness/eventually.ts';
import { type RunningProgram, startProgram } from '../process/index.ts';
import { processesNamed, startedTicksOf } from './index.ts';

let directory: string;
const running: RunningProgram[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-processes-'));
});
afterEach(async () => {
  for (const program of running.splice(0)) {
    program.kill();
    await program.done.catch(() => undefined);
  }
  await rm(directory, { recursive: true, force: true });
});

/** A program of that name, which sleeps. What it is found by is unlike any other on this machine. */
async function start(name: string): Promise<number> {
  const file = join(directory, name);
  await copyFile(await realpath('/bin/sleep'), file);
  const program = startProgram(file, ['60']);
  running.push(program);
  await eventually(async () => (await commandOf(program.pid)) === name.slice(0, 15));
  return program.pid ?? 0;
}

const commandOf = async (pid: number | undefined): Promise<string> =>
  (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).replace(/\n$/, '');

test('processes are found by their names, in the order that was asked for, with names that the kernel cuts off', async () => {
  const [long, odd, one] = [`${process.pid}-WriteEngine`, `${process.pid} (a) b`, `${process.pid}-x`];
  const pids = { long: await start(long), odd: await start(odd), one: await start(one) };
  expect(long.length).toBeGreaterThan(15);
  const found = await processesNamed([odd, long, one, `${process.pid}-none`]);
  expect(found.map(({ name, pid }) => [name, pid])).toEqual([
    [odd, pids.odd],
    [long, pids.long],
    [one, pids.one],
  ]);
});

test('a process is told from a later one of its pid by when it was started', async () => {
  const name = `${process.pid}-t`;
  const pid = await start(name);
  const [found] = await processesNamed([name]);
  // Field 22 of proc_pid_stat(5); this name has no blanks.
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ');
  expect(found?.startedTicks).toBe(BigInt(fields[21] ?? ''));
  expect(await startedTicksOf(pid)).toBe(found?.startedTicks);
});

test('a zombie is no process', async () => {
  const name = `${process.pid}-z`;
  await copyFile(await realpath('/bin/sleep'), join(directory, name));
  // The shell becomes a program that never waits for the child that it had as a shell.
  const parent = startProgram('sh', ['-c', `'${join(directory, name)}' 0.2 & echo $! >'${join(directory, 'pid')}'; exec sleep 60`]);
  running.push(parent);
  const pid = await eventually(async () => Number(await readFile(join(directory, 'pid'), 'utf8').catch(() => '')) || undefined);
  await eventually(async () => / Z /.test(await readFile(`/proc/${pid}/stat`, 'utf8')));
  expect(await commandOf(pid)).toBe(name);
  expect(await processesNamed([name])).toEqual([]);
  expect(await startedTicksOf(pid)).toBeUndefined();
});

test('a process that is gone has no time of its start', async () => {
  const done = startProgram('true', []);
  await done.done;
  expect(await startedTicksOf(done.pid ?? 0)).toBeUndefined();
});
