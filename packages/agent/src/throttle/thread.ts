import { getEnvironmentData, isMainThread } from 'node:worker_threads';
import { LIMIT } from './key.ts';
import { Limit } from './limit.ts';

let limit: Limit | undefined;

/**
 * On a thread: waits until so many bytes may be read or written, by the limit of the node. It blocks, so on the main thread, where such work is done
 * in tests only, it does nothing.
 */
export function takeTurn(bytes: number): void {
  if (isMainThread || bytes === 0) return;
  const memory = getEnvironmentData(LIMIT);
  if (limit === undefined && memory instanceof SharedArrayBuffer) limit = new Limit(memory);
  limit?.wait(bytes);
}

/** On a thread: whether writers wait for this node, as far as one can see from here. */
export function isLifted(): boolean {
  const memory = getEnvironmentData(LIMIT);
  return memory instanceof SharedArrayBuffer && new Limit(memory).isLifted;
}
