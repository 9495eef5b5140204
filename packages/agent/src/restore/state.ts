import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { z } from 'zod';
import { removeFileDurably, writeFileDurably } from '../host/index.ts';
import { checkedName } from '../repository/index.ts';

const path = z.string().startsWith('/');
const account = z.strictObject({ uid: z.number().int(), gid: z.number().int() });
const move = z.strictObject({ from: path, to: path });

/** A configuration file that waits to be put back. */
const pendingFile = z.strictObject({
  /** Where it belongs. */
  path,
  /** Its content, below the state directory. */
  copy: path,
  mode: z.number().int(),
  owner: account,
  /**
   * replace: it takes the place of what is found.  if-absent: only where nothing is found.  tuning: only the values that tune the engine
   * are carried into what is found, which keeps its mode and owner; the whole file where nothing is found.
   */
  how: z.enum(['replace', 'if-absent', 'tuning']),
  /**
   * For tuning: the key file of the engine here, and its digest in the set, empty for none. A password is of use only beside the key
   * that it was encrypted with.
   */
  secrets: z.strictObject({ path, sha256: z.string() }).optional(),
});

/** A directory that is exchanged as a whole. */
const tree = z.strictObject({
  /** `datadir`, `dbroot<number>`, or `dbrm`: the place of the block resolution manager on a node without dbroot 1. Unique. */
  name: z.string().min(1),
  /** `beside`: directories beside the live one, which is renamed as a whole. `inside`: within it, entry by entry. */
  layout: z.enum(['beside', 'inside']),
  /** What is exchanged, behind links. It need not exist. */
  live: path,
  stage: path,
  kept: path,
  undone: path,
  /** Who will own it. */
  owner: account,
  /** Its mode. */
  mode: z.number().int(),
});

const restoreStateSchema = z.strictObject({
  format: z.literal('stillpoint-restore/2'),
  operationId: z.string(),
  setId: z.string(),
  /** Digest of the part whose server image is restored, empty without one: another one under the same operation is another restore. */
  partSha256: z.string(),
  /** The same for every dbroot; an empty digest for one that becomes empty. */
  dbroots: z.array(z.strictObject({ number: z.number().int(), partSha256: z.string() })),
  /** True on a node of the engine, where shared memory and copies of the block resolution manager are seen to. */
  columnstore: z.boolean(),
  /** Tables of ColumnStore that the server image defines: the engine must show them all. */
  columnstoreTables: z.array(z.strictObject({ database: z.string(), table: z.string() })).default([]),
  /**
   * staging: half a copy lies in the stages, worth nothing.  staged: it is complete, live data is untouched.
   * switching: `steps` are being carried out.  switched: all of them are.  rolling-back: `steps` now lead back.
   * rolled-back, finished: nothing is left to decide.  finishing: the old data is being removed, no way back.
   */
  phase: z.enum(['staging', 'staged', 'switching', 'switched', 'rolling-back', 'rolled-back', 'finishing', 'finished']),
  /** In the order in which they are exchanged: that of the server first. */
  trees: z.array(tree),
  /** Directories above them that were not there, the outer ones first. */
  made: z.array(path),
  gtidPosition: z.string(),
  staged: z.strictObject({ bytes: z.number(), tablesEqual: z.number(), tablesUnproven: z.array(z.string()) }),
  configuration: z.array(pendingFile),
  /** Renames, in order. Those of one step do not depend on each other: a crash within it leaves each either done or not. */
  steps: z.array(z.array(move)),
  /** How many of `steps` are done; of the next one, some moves may be. */
  done: z.number().int(),
  /** False while `steps` holds only those of the configuration: what moves then depends on it. */
  complete: z.boolean(),
  /** Where servers of the configuration that was found, and of that which came back, keep their logs. */
  logs: z.array(z.strictObject({ logBinBasename: z.string(), logBinIndex: z.string(), relayLogBasename: z.string() })),
  /** Directories that hold what was there before the switch. */
  keptIn: z.array(path),
  /** Directories that hold restored data that was taken out again. */
  undoneIn: z.array(path),
  /** Directories that hold what came into the way of a move after a crash: what a server made that was started then, say. */
  obstaclesIn: z.array(path),
  /** Configuration files that were put back, and what was found in their place (empty for nothing). */
  replaced: z.array(z.strictObject({ path, found: z.string() })),
});

/** Where a restore of this node stands, and everything that is needed to go on or back. */
export type RestoreState = z.infer<typeof restoreStateSchema>;
/** A rename. */
export type Move = z.infer<typeof move>;
/** Renames that do not depend on each other. */
export type Step = readonly Move[];
export type PendingFile = z.infer<typeof pendingFile>;
export type Tree = RestoreState['trees'][number];
export type LogPaths = RestoreState['logs'][number];

/** Name of the tree that is the data directory of the server. */
export const DATADIR = 'datadir';

/** The data directory of the server; undefined on a node without one. */
export const datadirOf = ({ trees }: Pick<RestoreState, 'trees'>): Tree | undefined => trees.find(({ name }) => name === DATADIR);

/** A restore that is being staged, of which nothing is there yet. */
export const newState = (
  known: Pick<RestoreState, 'operationId' | 'setId' | 'partSha256' | 'dbroots' | 'columnstore' | 'trees' | 'made' | 'gtidPosition'> &
    Partial<Pick<RestoreState, 'columnstoreTables'>>,
): RestoreState => ({
  format: 'stillpoint-restore/2',
  columnstoreTables: [],
  ...known,
  phase: 'staging',
  staged: { bytes: 0, tablesEqual: 0, tablesUnproven: [] },
  configuration: [],
  steps: [],
  done: 0,
  complete: false,
  logs: [],
  keptIn: [],
  undoneIn: [],
  obstaclesIn: [],
  replaced: [],
});

/** Directory of a node's restore journals. */
export const journalDirectory = (stateDir: string): string => join(stateDir, 'restore');
const journalFile = (stateDir: string, operationId: string): string =>
  join(journalDirectory(stateDir), `${checkedName(operationId, 'operation id')}.json`);
/** Directory of what a restore keeps besides its journal. */
export const copiesDirectory = (stateDir: string, operationId: string): string =>
  join(journalDirectory(stateDir), `${checkedName(operationId, 'operation id')}.files`);

/** The journal of a restore; undefined when this node knows nothing of it. Throws CATALOG_UNUSABLE. */
export async function loadState(stateDir: string, operationId: string): Promise<RestoreState | undefined> {
  const file = journalFile(stateDir, operationId);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const parsed = restoreStateSchema.safeParse(upgraded(jsonOf(text)));
  if (parsed.success) return parsed.data;
  throw new StillpointError(
    'CATALOG_UNUSABLE',
    `${file} is not the journal of a restore: ${parsed.error.issues[0]?.path.join('.') ?? ''}`,
    {
      hint: 'It names the directories of the restore: put them back by hand, then remove it.',
    },
  );
}

/** Tables of ColumnStore that the server image of a restore defines; none where it restored no server. Throws CATALOG_UNUSABLE. */
export const columnstoreTablesOf = async (stateDir: string, operationId: string): Promise<RestoreState['columnstoreTables']> =>
  (await loadState(stateDir, operationId))?.columnstoreTables ?? [];

/** Writes the journal; it is on disk when this returns. */
export async function saveState(stateDir: string, state: RestoreState): Promise<void> {
  await mkdir(journalDirectory(stateDir), { recursive: true, mode: 0o700 });
  await writeFileDurably(journalFile(stateDir, state.operationId), `${JSON.stringify(state, null, 2)}\n`);
}

/** Forgets a restore that left nothing behind. */
export const removeState = (stateDir: string, operationId: string): Promise<void> => removeFileDurably(journalFile(stateDir, operationId));

/**
 * The restore that was staged or switched here and neither finished nor rolled back; undefined when there is none.
 * A journal that cannot be read counts as one. Throws CATALOG_UNUSABLE when their directory cannot be.
 */
export async function unfinishedRestore(stateDir: string): Promise<string | undefined> {
  const directory = journalDirectory(stateDir);
  const names = await readdir(directory).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return [];
    throw new StillpointError('CATALOG_UNUSABLE', `Restores of this node cannot be told: ${directory}: ${(cause as Error).message}`, {
      cause,
    });
  });
  for (const name of names.sort().reverse()) {
    const operationId = /^(?!\.)(.+)\.json$/.exec(name)?.[1];
    if (operationId === undefined) continue;
    const state = await loadState(stateDir, operationId).catch(() => undefined);
    if (state === undefined || !['rolled-back', 'finished'].includes(state.phase)) return operationId;
  }
  return undefined;
}

/** True for a restore that has only been staged here: nothing of it is in place. False where its journal cannot be read. */
export async function isOnlyStaged(stateDir: string, operationId: string): Promise<boolean> {
  const state = await loadState(stateDir, operationId).catch(() => undefined);
  return state?.phase === 'staging' || state?.phase === 'staged';
}

/** Journals of versions that knew no data but that of the server. */
const firstFormat = z.looseObject({
  format: z.literal('stillpoint-restore/1'),
  places: z.looseObject({ datadir: path }),
  owner: account,
  mode: z.number().int(),
  configuration: z.array(z.looseObject({})),
});

/** A journal of an earlier version in the words of this one; anything else as it is. */
function upgraded(json: unknown): unknown {
  const parsed = firstFormat.safeParse(json);
  if (!parsed.success) return json;
  const { places, owner, mode, configuration, ...same } = parsed.data;
  const { datadir, ...there } = places;
  return {
    ...same,
    format: 'stillpoint-restore/2',
    dbroots: [],
    columnstore: false,
    trees: [{ name: DATADIR, ...there, live: datadir, owner, mode }],
    made: [],
    configuration: configuration.map((file) => ({ ...file, how: 'replace' })),
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
