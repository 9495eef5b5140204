import { readlinkSync } from 'node:fs';
import { BroadcastChannel, getEnvironmentData, isMainThread } from 'node:worker_threads';
import { isLifted } from '../throttle/thread.ts';
import { PRIORITY } from './key.ts';

/**
 * On a thread, before its work: lets it step back for others, as far as that was asked for. Not while writers wait; a thread must not go on from before
 * into that time, for only root may take a priority back.
 */
export function stepBack(): void {
  if (isMainThread || getEnvironmentData(PRIORITY) !== true || isLifted()) return;
  const channel = new BroadcastChannel(PRIORITY);
  // "PID/task/TID": to the scheduler a thread is a process.
  channel.postMessage(Number(readlinkSync('/proc/thread-self').split('/').at(-1)));
  channel.close();
}
