import { readdir, realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LeftoverKind } from '@stillpoint/shared/proto';
import { openEngine } from '../columnstore/discovery/index.ts';
import type { Leftover, Search } from './leftover.ts';

/** Files that are tried out while a place for clones is looked for. */
const PROBE = '.stillpoint-probe-';
/** Option files that hold the account of the agent for mariadb-backup. */
const OPTION_FILE = /^\.mariadb-backup-[0-9a-f]+\.cnf$/;

/**
 * What captures left outside of their parts: clones of dbroots and files of their trials, beside the dbroots and within; option files. None while another
 * operation owns the node, as nothing in their names tells whose they are.
 */
export async function* captureLeftovers({ alive, config, signal }: Search): AsyncGenerator<Leftover> {
  if (alive !== undefined) return;
  const clones = `.stillpoint-clones-${config.cluster}-dbroot`;
  for (const directory of await placesOfClones(config)) {
    signal.throwIfAborted();
    for (const name of await readdir(directory).catch(() => [])) {
      if (name.startsWith(clones)) yield scratch(join(directory, name), 'Clones of the files of a dbroot, of a capture that is over');
      if (name.startsWith(PROBE)) yield scratch(join(directory, name), 'A file with which a place for clones was tried');
    }
  }
  for (const name of await readdir(config.stateDir).catch(() => [])) {
    if (OPTION_FILE.test(name)) yield scratch(join(config.stateDir, name), 'An option file for mariadb-backup, of a capture that is over');
  }
}

const scratch = (path: string, reason: string): Leftover => ({
  ...{ kind: LeftoverKind.SCRATCH, path, reason, staysBecause: '' },
  remove: () => rm(path, { recursive: true, force: true }),
});

/** The repository, and the dbroots with the directories above them, behind links. */
async function placesOfClones(config: Search['config']): Promise<Set<string>> {
  const engine = await openEngine(config).catch(() => undefined);
  const places = new Set([config.repository]);
  for (const { path } of engine?.owned ?? []) {
    const root = await realpath(path).catch(() => undefined);
    if (root !== undefined) places.add(root).add(dirname(root));
  }
  return places;
}
