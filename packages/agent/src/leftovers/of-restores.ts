import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LeftoverKind } from '@stillpoint/shared/proto';
import { openEngine } from '../columnstore/discovery/index.ts';
import { serverSettings } from '../mariadb/settings.ts';
import { atRest, inMotion, realDatadir } from '../restore/places.ts';
import { copiesDirectory, DATADIR, journalDirectory, loadState, type RestoreState } from '../restore/state.ts';
import { removeEmpty } from '../restore/trees.ts';
import type { Leftover, Search } from './leftover.ts';

/** A tree that a restore may have exchanged. */
interface Place {
  readonly name: string;
  /** Behind links. */
  readonly live: string;
}

/** What is called so is a restore's, beside a live directory with `.stillpoint-` before it; the names of files are not parsed further. */
const RESTORE_ID = /restore-\d{8}-\d{6}-[0-9a-f]{8}/;
const BESIDE = /^\.stillpoint-(stage|kept|undone|obstacles)-/;
const INSIDE = /^(stage|kept|undone|obstacles)-/;

/** What restores left beside live data, within it, and in the agent's state directory. */
export async function* restoreLeftovers(search: Search): AsyncGenerator<Leftover> {
  const states = await knownStates(search.config.stateDir);
  const places = await placesOf(search, [...states.values()]);
  const seen = new Set<string>();
  for (const { directory, pattern } of directoriesOf(places)) {
    for (const name of await readdir(directory).catch(() => [])) {
      const path = join(directory, name);
      const kind = pattern.exec(name)?.[1];
      const operationId = RESTORE_ID.exec(name)?.[0];
      if (kind === undefined || operationId === undefined || seen.has(path)) continue;
      seen.add(path);
      const found = judged(search, { path, directory, kind, operationId }, states.get(operationId));
      if (found !== undefined) yield found;
    }
  }
  yield* copies(search, states);
}

interface Found {
  readonly path: string;
  readonly directory: string;
  /** stage, kept, undone or obstacles. */
  readonly kind: string;
  readonly operationId: string;
}

/** What becomes of a directory of a restore; undefined for one that the restore still has a use for. */
function judged({ alive }: Search, { path, directory, kind, operationId }: Found, state: RestoreState | undefined): Leftover | undefined {
  if (operationId === alive) return undefined;
  const known = state === undefined ? [] : [...state.keptIn, ...state.undoneIn, ...state.obstaclesIn];
  const isOver = state?.phase === 'finished' || (state?.phase === 'rolled-back' && !known.includes(path));
  if (state !== undefined && !isOver) return undefined;
  // A stage of a restore that was rolled back is a copy; anything else may be the only one.
  const mayGo = state?.phase === 'finished' || (state !== undefined && kind === 'stage');
  return {
    kind: LeftoverKind.RESTORE,
    path,
    reason: state === undefined ? `Of ${operationId}, of which this agent has no record` : `Of ${operationId}, which is ${state.phase}`,
    staysBecause: mayGo ? '' : 'It may hold the only copy of live data: look into it, and remove it by hand',
    remove: async () => {
      await rm(path, { recursive: true, force: true });
      // Our own directory within live data goes with the last one.
      if (directory.endsWith('/.stillpoint')) await removeEmpty(directory);
    },
  };
}

/** Configuration files that were copied out of a set; the set has them still. */
async function* copies({ alive, config }: Search, states: ReadonlyMap<string, RestoreState | undefined>): AsyncGenerator<Leftover> {
  for (const name of await readdir(journalDirectory(config.stateDir)).catch(() => [])) {
    const operationId = /^(.+)\.files$/.exec(name)?.[1];
    if (operationId === undefined || operationId === alive) continue;
    const phase = states.get(operationId)?.phase;
    if (states.has(operationId) && phase !== 'finished' && phase !== 'rolled-back') continue;
    const path = copiesDirectory(config.stateDir, operationId);
    yield {
      ...{ kind: LeftoverKind.RESTORE, path, staysBecause: '' },
      reason: `Copies of configuration files, of ${operationId}, which ${phase === undefined ? 'this agent has no record of' : `is ${phase}`}`,
      remove: () => rm(path, { recursive: true, force: true }),
    };
  }
}

/** Journals by restore; undefined for one that cannot be read, which then counts as unfinished. */
async function knownStates(stateDir: string): Promise<Map<string, RestoreState | undefined>> {
  const states = new Map<string, RestoreState | undefined>();
  for (const name of await readdir(journalDirectory(stateDir)).catch(() => [])) {
    const operationId = /^(?!\.)(.+)\.json$/.exec(name)?.[1];
    if (operationId !== undefined) states.set(operationId, await loadState(stateDir, operationId).catch(() => undefined));
  }
  return states;
}

/** Trees of this node as it is configured now, and those of restores on record. A server or engine that cannot be found has none. */
async function placesOf({ config, signal }: Search, states: readonly (RestoreState | undefined)[]): Promise<Place[]> {
  const places: Place[] = states.flatMap((state) => state?.trees.map(({ name, live }) => ({ name, live })) ?? []);
  if (config.mariadb !== undefined) {
    const settings = await serverSettings(config.mariadb, signal).catch(() => undefined);
    if (settings !== undefined) places.push({ name: DATADIR, live: await realDatadir(settings.datadir) });
  }
  const engine = await openEngine(config).catch(() => undefined);
  for (const { number, path } of engine?.owned ?? []) places.push({ name: `dbroot${number}`, live: await realDatadir(path) });
  return places;
}

function directoriesOf(places: readonly Place[]): { readonly directory: string; readonly pattern: RegExp }[] {
  const beside = new Set(places.map(({ live }) => dirname(live)));
  const inside = new Set(places.flatMap((place) => [atRest(place), inMotion(place)]));
  return [
    ...[...beside].map((directory) => ({ directory, pattern: BESIDE })),
    ...[...inside].map((directory) => ({ directory, pattern: INSIDE })),
  ];
}
