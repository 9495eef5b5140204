import { setPriority } from 'node:os';
import { BroadcastChannel, setEnvironmentData } from 'node:worker_threads';
import type { Priority } from '@stillpoint/shared/proto';
import { runProgram } from '../process/index.ts';
import { PRIORITY } from './key.ts';
import { askedFor, ioniceArguments } from './words.ts';

let wanted: Priority | undefined;
let channel: BroadcastChannel | undefined;

/** Says how far threads step back that are begun from now on, and ask for it; undefined or nothing in it lets them be as the agent is. */
export function letStepBack(priority: Priority | undefined): void {
  wanted = askedFor(priority);
  setEnvironmentData(PRIORITY, wanted !== undefined);
  if (wanted === undefined || channel !== undefined) return;
  channel = new BroadcastChannel(PRIORITY);
  channel.onmessage = ({ data }) => void pushBack(Number(data));
  channel.unref();
}

/** A thread that has ended meanwhile is no failure; nor is one that stays as it is: what it does is the same. */
async function pushBack(thread: number): Promise<void> {
  if (wanted === undefined) return;
  const io = ioniceArguments(wanted);
  try {
    if (wanted.nice > 0) setPriority(thread, wanted.nice);
    if (io.length > 0) await runProgram('ionice', [...io, '-p', String(thread)]);
  } catch {
    // Told by `unheeded`, where it is the program that is missing.
  }
}
