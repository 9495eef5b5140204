import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
// All of the agent: its size counts.
import '../../packages/agent/src/index.ts';
import { DbrootPrecopy } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import type { PrecopyAnswer, PrecopyTask } from './dbroot-block.ts';

/** One dbroot that is precopied, then changed, then taken, in a process of its own. */
const { options, changed } = JSON.parse(process.argv[2] ?? '') as PrecopyTask;
const work = { signal: new AbortController().signal, onBytes: () => {}, onFound: () => {}, note: () => {} };

const capture = await DbrootPrecopy.begin(options);
await capture.precopy(work);
for (const { file, at, bytes } of changed) {
  const opened = openSync(join(options.root, file), 'r+');
  writeSync(opened, Buffer.alloc(bytes, `${Date.now()} changed`), 0, bytes, at);
  closeSync(opened);
}
const startedAt = performance.now();
await capture.take(work);
const ms = performance.now() - startedAt;
await capture.discard();
const answer: PrecopyAnswer = { ms, peakBytes: process.resourceUsage().maxRSS * 1024 };
process.stdout.write(JSON.stringify(answer));
