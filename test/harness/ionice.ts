import { execFileSync } from 'node:child_process';
import { ioArgumentsOf } from '../../packages/agent/src/priority/io.ts';

/** The class of input and output of a thread, as arguments of ionice: kernels put the level of one that has none in different words. */
export const ionice = (thread: number): string =>
  ioArgumentsOf(execFileSync('ionice', ['-p', String(thread)], { encoding: 'utf8' })).join(' ');
