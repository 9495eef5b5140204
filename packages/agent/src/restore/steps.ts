import { chown, mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { exists, ownAccount, writeFileDurably } from '../host/index.ts';
import { type Content, comingContent } from './coming-file.ts';
import { besideFile, refuseEscape } from './configuration.ts';
import { atRest, atRestPath, inMotion, inMotionPath, isWithin, OURS, realDatadir } from './places.ts';
import { requireKept } from './required.ts';
import { datadirOf, type LogPaths, type Move, type RestoreState, type Tree } from './state.ts';

/** The file system's own, not the server's: which takes it for a database, so that it is in backups too. */
const FOREIGN = 'lost+found';

/**
 * The renames that put configuration files back, what was found being kept; and which files they are. Files that are
 * as they were at the backup are left alone. Writes the coming files beside their places.
 */
export async function configurationSteps(
  { configuration, operationId }: RestoreState,
  configured: readonly string[],
): Promise<{ steps: Move[][]; replaced: RestoreState['replaced'] }> {
  const aside: Move[] = [];
  const back: Move[] = [];
  const replaced: RestoreState['replaced'] = [];
  for (const file of configuration) {
    if (file.how === 'replace') await refuseEscape(file.path, configured);
    const content = await comingContent(file, configuration);
    if (content === undefined) continue;
    const { coming, found } = besideFile(file.path, operationId);
    await placeBeside(file.path, content, coming);
    const isThere = await exists(file.path);
    if (isThere) aside.push({ from: file.path, to: found });
    back.push({ from: coming, to: file.path });
    replaced.push({ path: file.path, found: isThere ? found : '' });
  }
  return { steps: [aside, back].filter(({ length }) => length > 0), replaced };
}

async function placeBeside(path: string, { data, mode, owner }: Content, coming: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await writeFileDurably(coming, data, mode);
  if (ownAccount().uid === 0) await chown(coming, owner.uid, owner.gid);
}

/** The renames that put staged data in the place of live data, and the directories that will hold what was there. Throws SWITCH_FAILED. */
export async function dataSteps({ trees, operationId, logs: paths }: RestoreState): Promise<{ steps: Move[][]; keptIn: string[] }> {
  const logs = await outsideLogs(datadirOf({ trees })?.live, paths);
  const aside = logs.map((file) => ({ from: file, to: join(keptLogs(file, operationId), basename(file)) }));
  const steps: Move[][] = [aside];
  const keptIn: string[] = [];
  for (const tree of trees) {
    const exchanged = await exchange(tree, tree.kept, tree.stage);
    steps.push(...exchanged);
    if (exchanged.flat().some(({ to }) => isWithin(atRestPath(trees, to), tree.kept))) keptIn.push(tree.kept);
  }
  keptIn.push(...new Set(aside.map(({ to }) => dirname(to))));
  await refuseOccupied([...new Set([...trees.map(({ kept }) => kept), ...keptIn])]);
  return { steps: steps.filter(({ length }) => length > 0), keptIn };
}

/** The renames that lead back from a complete switch, after which a server may have run; and where restored data goes. Throws SWITCH_FAILED. */
export async function undoSteps(state: RestoreState): Promise<{ steps: Move[][]; undoneIn: string[] }> {
  const { trees, operationId, replaced, keptIn, logs } = state;
  await requireKept(state);
  const newLogs = await outsideLogs(datadirOf({ trees })?.live, logs);
  const aside: Move[] = newLogs.map((file) => ({ from: file, to: join(undoneLogs(file, operationId), basename(file)) }));
  const back: Move[] = [];
  for (const directory of keptIn.filter((each) => !trees.some(({ kept }) => kept === each))) {
    for (const name of await entriesOf(directory)) back.push({ from: join(directory, name), to: join(dirname(directory), name) });
  }
  for (const { path, found } of replaced) {
    if (await exists(path)) aside.push({ from: path, to: besideFile(path, operationId).undone });
    if (found !== '') back.push({ from: found, to: path });
  }
  const steps: Move[][] = [aside, back];
  for (const tree of trees) steps.push(...(await exchange(tree, tree.undone, tree.kept)));
  const undoneIn = [...trees.map(({ undone }) => undone), ...new Set(newLogs.map((file) => undoneLogs(file, operationId)))];
  await refuseOccupied(undoneIn);
  return { steps: steps.filter(({ length }) => length > 0), undoneIn };
}

/** Before the first move nothing may lie where live data is moved to: from then on, what lies there counts as moved. */
async function refuseOccupied(directories: readonly string[]): Promise<void> {
  for (const directory of directories)
    if (await exists(directory)) throw new StillpointError('SWITCH_FAILED', `${directory} is in the way: live data is moved there`);
}

/** What is live goes `away`, what is `coming` becomes live. */
const exchange = (tree: Tree, away: string, coming: string): Promise<Move[][]> =>
  tree.layout === 'beside' ? wholeSteps(tree.live, away, coming) : entrySteps(tree, away, coming);

/** `live` becomes `away`, `coming` becomes `live`, as far as they exist. */
async function wholeSteps(live: string, away: string, coming: string): Promise<Move[][]> {
  const steps: Move[][] = [];
  if (await exists(live)) steps.push([{ from: live, to: away }]);
  if (await exists(coming)) steps.push([{ from: coming, to: live }]);
  return steps;
}

/** The same, entry by entry, for a directory that cannot be renamed; `away` and `coming` lie at rest in it. */
async function entrySteps(tree: Tree, away: string, coming: string): Promise<Move[][]> {
  const { live } = tree;
  const [from, to] = [inMotionPath(tree, coming), inMotionPath(tree, away)];
  const [out, back] = (await Promise.all([entriesOf(live), entriesOf(coming)])).map((names) =>
    names.filter((name) => name !== FOREIGN && name !== OURS),
  );
  const steps = [
    [{ from: atRest(tree), to: inMotion(tree) }],
    (out ?? []).map((name) => ({ from: join(live, name), to: join(to, name) })),
    (back ?? []).map((name) => ({ from: join(from, name), to: join(live, name) })),
    [{ from: inMotion(tree), to: atRest(tree) }],
  ];
  return steps.map((step) => step.filter((move) => move.from !== move.to)).filter(({ length }) => length > 0);
}

/** Nothing for a directory that does not exist. */
async function entriesOf(path: string): Promise<string[]> {
  return (await exists(path)) ? readdir(path) : [];
}

/**
 * Directories beside logs that lie outside of the data directory: on the same file system as they. Logs may lie beside the data
 * directory itself, where its own are.
 */
const keptLogs = (file: string, operationId: string): string => join(dirname(file), `.stillpoint-kept-logs-${operationId}`);
const undoneLogs = (file: string, operationId: string): string => join(dirname(file), `.stillpoint-undone-logs-${operationId}`);

/**
 * Binary and relay logs, with their lists, that lie outside of the data directory; those below it travel with it. A server that
 * finds old ones would go on with them: another history than that of the restored data. Paths are behind links. None without
 * a data directory.
 */
export async function outsideLogs(datadir: string | undefined, servers: readonly LogPaths[]): Promise<string[]> {
  const found = new Set<string>();
  if (datadir === undefined) return [];
  for (const { logBinBasename, logBinIndex, relayLogBasename } of servers) {
    for (const base of [logBinBasename, relayLogBasename].filter((path) => path !== '')) {
      const directory = await realDatadir(dirname(base));
      if (isWithin(directory, datadir)) continue;
      for (const name of await entriesOf(directory)) if (isLogOf(basename(base), name)) found.add(join(directory, name));
    }
    if (logBinIndex === '') continue;
    const index = join(await realDatadir(dirname(logBinIndex)), basename(logBinIndex));
    if (!isWithin(index, datadir) && (await exists(index))) found.add(index);
  }
  return [...found].sort();
}

/** `base.000001`, `base.index`, `base.state`; relay logs of a named connection carry its name in between. */
function isLogOf(base: string, name: string): boolean {
  if (!name.startsWith(base)) return false;
  return /^(?:-[^.]+)?\.(?:\d{6,}(?:\.idx)?|index|state)$/.test(name.slice(base.length));
}
