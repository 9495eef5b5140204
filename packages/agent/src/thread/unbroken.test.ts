import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { free, newEndGate, unbroken, untilEndable } from './unbroken.ts';

/** In a process of its own, which a thread that is ended at the wrong moment takes along. */
const ENDINGS = `
  import { setTimeout as sleep } from 'node:timers/promises';
  const { Thread } = await import(${JSON.stringify(new URL('./thread.ts', import.meta.url).href)});
  const main = new URL(${JSON.stringify(new URL('./fixture/compressing', import.meta.url).href)});
  const once = async (index) => {
    let begun;
    const isBegun = new Promise((resolve) => { begun = resolve; });
    const thread = new Thread({ main, what: 'that compresses', code: 'CAPTURE_FAILED', data: undefined, onWord: begun });
    thread.ask(10_000).catch(() => undefined);
    await isBegun;
    await sleep(index % 7);
    await thread.end();
  };
  for (let round = 0; round < 25; round += 1) await Promise.all([0, 1, 2, 3].map((each) => once(round * 4 + each)));
  console.log('alive');
`;

test('threads that are ended while they compress take nobody along', { timeout: 60_000 }, () => {
  const ended = execFileSync(process.execPath, ['-C', 'source', '--input-type=module', '-e', ENDINGS], {
    encoding: 'utf8',
    cwd: import.meta.dirname,
  });
  expect(ended).toBe('alive\n');
});

test('without a thread it is just done', () => {
  expect(unbroken(() => 7)).toBe(7);
});

test('a thread is waited for until it is at nothing that must not be broken off', async () => {
  const gate = newEndGate();
  Atomics.store(gate, 0, 1);
  let isEndable = false;
  const waiting = untilEndable(gate).then(() => {
    isEndable = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(isEndable).toBe(false);
  free(gate);
  await waiting;
  expect(Atomics.load(gate, 0)).toBe(2);
});
