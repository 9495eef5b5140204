import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CapturedDbroot } from '../../../packages/agent/src/columnstore/dbroot/index.ts';
import { runInstalled } from '../installed.ts';

const run = promisify(execFile);

/** Where the benchmark's parts lie in a repository. */
export const PLACE = { cluster: 'bench', setId: 'set', node: 'pm1' } as const;

export const partOf = (repository: string): string => join(repository, PLACE.cluster, PLACE.setId, PLACE.node);

/** What a child does, with dbroots that lie as `data<N>` in a directory. */
export type ChildTask = { readonly data: string; readonly repository: string } & (
  | {
      readonly kind: 'capture';
      readonly part: string;
      readonly numbers: readonly number[];
      readonly level: number;
      readonly shards: number;
    }
  | { readonly kind: 'restore'; readonly captured: readonly CapturedDbroot[]; readonly stage: string }
  | { readonly kind: 'verify'; readonly captured: readonly CapturedDbroot[] }
);

export interface ChildAnswer {
  /** Without the start of the process. */
  readonly ms: number;
  /** Resident at most. */
  readonly peakBytes: number;
  /** Of a capture. */
  readonly captured: readonly CapturedDbroot[];
}

/** Carries out a task in a process of its own. */
export const inChild = (task: ChildTask): Promise<ChildAnswer> =>
  runInstalled<ChildAnswer>(join(import.meta.dirname, 'dbroots-child.ts'), { ...task, ...PLACE });

/** A pipe whose every part must succeed. */
export const shell = (command: string): Promise<unknown> => run('bash', ['-c', `set -o pipefail; ${command}`]);

/** An empty directory, and nothing left to write from before, so that each way begins alike. */
export async function emptied(path: string, ...below: string[]): Promise<string> {
  rmSync(path, { recursive: true, force: true });
  for (const each of ['', ...below]) mkdirSync(join(path, each), { recursive: true });
  await run('sync');
  return path;
}
