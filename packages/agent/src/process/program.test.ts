import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProgramFailure } from './failure.ts';
import { startPipeline } from './pipeline.ts';
import { runProgram, startProgram } from './program.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-process-'));
});
afterEach(() => rm(directory, { recursive: true }));

const sh = (script: string): [string, string[]] => ['sh', ['-c', script]];

async function failureOf(promise: Promise<unknown>): Promise<ProgramFailure> {
  const error = await promise.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  if (error instanceof ProgramFailure) return error;
  throw new Error(`not a ProgramFailure: ${String(error)}`);
}

const gone = async (pid: number): Promise<boolean> => {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return status === undefined || / [ZX] /.test(status);
};

test('output, input, environment and directory reach their place', async () => {
  const { stdout, stderr, exitCode } = await runProgram(...sh('cat; pwd; echo "$SECRET $LC_ALL" >&2'), {
    input: 'in ',
    env: { SECRET: 'x' },
    cwd: directory,
  });
  expect(stdout).toBe(`in ${directory}\n`);
  expect(stderr).toBe('x C\n');
  expect(exitCode).toBe(0);
});

test('no shell looks at the arguments', async () => {
  expect((await runProgram('printf', ['%s', '$HOME; `id` *'])).stdout).toBe('$HOME; `id` *');
});

test('a program that is missing is named', async () => {
  const error = await runProgram('stillpoint-no-such-program', []).catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(StillpointError);
  expect(error).toMatchObject({ code: 'TOOL_MISSING', message: expect.stringContaining('stillpoint-no-such-program') });
});

test('a file that may not be executed counts as missing', async () => {
  const file = join(directory, 'data');
  await writeFile(file, 'x', { mode: 0o600 });
  await expect(runProgram(file, [])).rejects.toMatchObject({ code: 'TOOL_MISSING' });
});

test('a failure knows the exit code and the end of stderr', async () => {
  const failure = await failureOf(runProgram(...sh('echo one >&2; echo two >&2; exit 7')));
  expect(failure).toMatchObject({ exitCode: 7, signal: undefined, timedOut: false, stderrTail: 'one\ntwo\n' });
  expect(failure.lastLines(1)).toBe('two');
  expect(failure.message).toBe('sh exited with 7');
});

test('a failure knows the signal', async () => {
  expect(await failureOf(runProgram(...sh('kill -9 $$')))).toMatchObject({ signal: 'SIGKILL', message: 'sh was ended by SIGKILL' });
});

test('output is bounded, its end is kept', async () => {
  const { stdout } = await runProgram(...sh('head -c 10000000 /dev/zero | tr "\\0" a; echo end'));
  expect(stdout.length).toBe(4 * 1024 * 1024);
  expect(stdout.endsWith('aend\n')).toBe(true);
  const { stderrTail } = await failureOf(runProgram(...sh('head -c 1000000 /dev/zero | tr "\\0" b >&2; exit 1')));
  expect(stderrTail.length).toBe(64 * 1024);
});

test('a timeout kills the program and everything it started, also what ignores the first signal', async () => {
  const pidFile = join(directory, 'pid');
  const failure = await failureOf(
    runProgram(...sh(`trap '' TERM; sh -c 'trap "" TERM; echo $$ >${pidFile}; while :; do sleep 0.05; done'`), {
      timeoutMs: 2_000,
      killDelayMs: 100,
    }),
  );
  expect(failure).toMatchObject({ timedOut: true });
  expect(await gone(Number(await readFile(pidFile, 'utf8')))).toBe(true);
});

test('an abort ends the program and gives its reason', async () => {
  const abort = new AbortController();
  const running = startProgram('sleep', ['60'], { signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(running.done).rejects.toThrow('enough');
  expect(await gone(running.pid ?? 0)).toBe(true);
});

test('a signal that was aborted before starts nothing', async () => {
  await expect(runProgram('touch', [join(directory, 'made')], { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
    'enough',
  );
  await expect(readFile(join(directory, 'made'))).rejects.toThrow('ENOENT');
});

test('stderr comes line by line, the unfinished last one included', async () => {
  const lines: string[] = [];
  await startProgram(...sh('printf "a\\nb" >&2; sleep 0.05; printf "c\\nd" >&2'), { onStderrLine: (line) => lines.push(line) }).done;
  expect(lines).toEqual(['a', 'bc', 'd']);
});

test('a program that leaves a daemon behind is not waited for when its output is discarded', async () => {
  await runProgram(...sh('sleep 5 & exit 0'), { output: 'discard', timeoutMs: 3_000 });
});

test.each([0, 1, 200])('nothing of the output is lost when it is read %i ms after the start', async (ms) => {
  const small = startProgram(...sh('printf abc'), { stdout: 'pipe' });
  const large = startProgram(...sh('head -c 5000000 /dev/zero'), { stdout: 'pipe' });
  if (small.stdout === undefined || large.stdout === undefined) throw new Error('there is a stdout');
  await delay(ms);
  expect((await buffer(small.stdout)).toString()).toBe('abc');
  expect((await buffer(large.stdout)).length).toBe(5_000_000);
  await Promise.all([small.done, large.done]);
});

test('a reader that goes away ends the program by a broken pipe', async () => {
  const running = startProgram('cat', ['/dev/zero'], { stdout: 'pipe' });
  running.stdout?.once('data', () => running.stdout?.destroy());
  await expect(running.done).rejects.toThrow(/cat (was ended by SIGPIPE|exited)/);
});

test('output that was cut off by a kill ends', async () => {
  const running = startProgram('cat', ['/dev/zero'], { stdout: 'pipe' });
  if (running.stdout === undefined) throw new Error('there is a stdout');
  running.stdout.once('data', () => running.kill());
  await buffer(running.stdout).catch(() => undefined);
  await expect(running.done).rejects.toBeInstanceOf(ProgramFailure);
});

test('a pipeline carries the bytes of one program through another', async () => {
  const running = startPipeline({ program: 'sh', args: ['-c', 'printf hello'] }, { program: 'tr', args: ['a-z', 'A-Z'] });
  expect((await buffer(running.stdout)).toString()).toBe('HELLO');
  await running.done;
});

test.each([
  ['the first', 'exit 3', 'cat', 3],
  ['the second', 'cat /dev/zero', 'head -c 1000 >/dev/null; exit 4', 4],
])('a failure of %s program of a pipeline ends the other and is the one told', async (_, first, second, exitCode) => {
  const running = startPipeline({ program: 'sh', args: ['-c', first] }, { program: 'sh', args: ['-c', second] });
  running.stdout.resume();
  expect(await failureOf(running.done)).toMatchObject({ exitCode });
});

test('a pipeline whose first program is missing says so', async () => {
  const running = startPipeline({ program: 'stillpoint-no-such-program', args: [] }, { program: 'cat', args: [] });
  running.stdout.resume();
  await expect(running.done).rejects.toMatchObject({ code: 'TOOL_MISSING', message: expect.stringContaining('no-such-program') });
});

test('the second program of a pipeline missing says so', async () => {
  const running = startPipeline({ program: 'cat', args: ['/dev/zero'] }, { program: 'stillpoint-no-such-program', args: [] });
  running.stdout.resume();
  await expect(running.done).rejects.toMatchObject({ code: 'TOOL_MISSING' });
});
