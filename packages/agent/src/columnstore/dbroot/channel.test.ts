import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Channel } from './channel.ts';

test('what comes while its reader is at something does not overtake what waits already', async () => {
  const channel = new Channel<number>(2);
  const puts = [0, 1, 2].map((each) => channel.put(each));
  const read: number[] = [];
  for await (const each of channel) {
    read.push(each);
    await turn();
    if (read.length < 10) puts.push(channel.put(puts.length));
    else channel.end();
  }
  await Promise.all(puts);
  expect(read.slice(0, 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('keeps no more than it may', async () => {
  const channel = new Channel<number>(2);
  let taken = 0;
  const puts = [0, 1, 2, 3].map((each) => channel.put(each).then(() => (taken += 1)));
  await turn();
  expect(taken).toBe(2);
  channel.end();
  await Promise.all(puts);
  // What was put before the end and had no room is dropped with it.
  expect(await Array.fromAsync(channel)).toEqual([0, 1]);
});

test('ends with its error after what waits, and lets writers go when nobody reads any more', async () => {
  const channel = new Channel<number>(1);
  await channel.put(1);
  channel.end(new Error('lost'));
  const read: number[] = [];
  const reading = async (): Promise<void> => {
    for await (const each of channel) read.push(each);
  };
  await expect(reading()).rejects.toThrow('lost');
  expect(read).toEqual([1]);
  const left = new Channel<number>(1);
  const puts = [left.put(1), left.put(2), left.put(3)];
  for await (const _ of left) break;
  await Promise.all(puts);
});
