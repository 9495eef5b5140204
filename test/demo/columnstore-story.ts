import type { BackupReport, RestorePlan, RestoreReport } from '@stillpoint/controller';
import { type Agents, startAgents } from '../columnstore/harness/agents.ts';
import { importRows } from '../columnstore/harness/bulk-load.ts';
import { type ColumnstoreCluster, startColumnstoreCluster } from '../columnstore/harness/cluster.ts';
import { loseEverything } from '../columnstore/harness/lose-everything.ts';
import { makeShop, numbers, type Sums, shopSums, startShopWriter } from '../columnstore/harness/shop.ts';
import { eventually } from '../harness/eventually.ts';
import { ownProcesses } from '../harness/processes.ts';
import type { Writer } from '../harness/writer.ts';
import { check, type Notes, noNotes, step, sum } from './notes.ts';
import { megabytes, type Summary, type Teller } from './teller.ts';

const SALES = 1_000_000;
const LATER_SALES = 50_000;

/** What the chapters share. */
interface Scene {
  readonly cluster: ColumnstoreCluster;
  readonly agents: Agents;
  readonly writer: Writer;
  readonly notes: Notes;
  readonly teller: Teller;
}

/** The main job on the real ColumnStore engine. Never throws: what goes wrong stands in the summary, and nothing is left behind either way. */
export async function tellColumnstoreStory(teller: Teller): Promise<Summary> {
  const notes = noNotes();
  let error: string | undefined;
  let cluster: ColumnstoreCluster | undefined;
  let writer: Writer | undefined;
  try {
    teller.say('Three nodes of MariaDB ColumnStore, each with an engine, a dbroot, a SQL server and an agent.');
    cluster = await step(teller, 'Start three real engines in containers', () => startColumnstoreCluster({ nodes: 3 }), shape);
    const started = cluster;
    await step(
      teller,
      'Load tables by cpimport',
      () => makeShop(started, SALES),
      () => `${SALES} rows on three dbroots`,
    );
    const agents = await step(
      teller,
      'Start agents and certificates',
      () => startAgents(started),
      () => 'one agent a node',
    );
    const startedAt = performance.now();
    writer = startShopWriter(cluster.primary);
    const scene: Scene = { cluster, agents, writer, notes, teller };
    const { report, sums } = await takeBackup(scene);
    const lostAt = await loseAllData(scene);
    await bringItBack(scene, report, sums, lostAt);
    notes.times.everythingAfterSetUp = performance.now() - startedAt;
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  } finally {
    await writer?.stop();
    await cluster?.remove();
  }
  check(notes, 'Nothing is left running', ownProcesses().length === 0, `${ownProcesses().length} processes`);
  const ok = error === undefined && notes.checks.every((one) => one.ok);
  return { ok, ...notes, ...(error === undefined ? {} : { error }) };
}

type ShopSums = Readonly<Record<string, Sums>>;

async function takeBackup({ cluster, agents, writer, notes, teller }: Scene): Promise<{ report: BackupReport; sums: ShopSums }> {
  teller.say('A client inserts into a ColumnStore table all the time. Meanwhile one command backs up all three nodes.');
  await eventually(() => writer.written > 10);
  const sums = atRest(await shopSums(cluster.primary));
  const window = writer.window();
  const report = await step(
    teller,
    'stillpoint backup create',
    async () => (await agents.ok('backup', 'create')).line<BackupReport>('backup'),
    ({ set }) => `set ${set.setId}`,
  );
  const noticed = window();
  const { set } = report;
  notes.block.longestInsertOfTheClient = noticed.longestMs;
  notes.block.reportedByStillpoint = Math.max(...set.members.map((member) => member.blockedMs));
  for (const { phase, ms } of set.phases)
    if (IN_THE_BLOCK.includes(phase)) notes.block[`in${phase[0]?.toUpperCase()}${phase.slice(1)}`] = ms;
  notes.sizes.dbrootsAndServerFilesOnAllNodes = sum(set.members.map((member) => member.dataBytes));
  notes.sizes.storedOnAllNodes = sum(set.members.map((member) => member.storedBytes));
  notes.times.backup = report.elapsedMs;
  check(notes, 'The client saw no error: it only waited', noticed.errors.length === 0, `${noticed.writes} inserts`);
  await checkLocks(cluster, writer, notes, 'No table is locked afterwards');
  const verified = await step(
    teller,
    'stillpoint backup verify latest',
    () => agents.run('backup', 'verify', 'latest'),
    ({ exitCode }) => (exitCode === 0 ? 'every byte has its hash' : `exit code ${exitCode}`),
  );
  check(notes, 'The set verifies', verified.exitCode === 0, `exit code ${verified.exitCode}`);
  return { report, sums };
}

/** Phases while writers wait. */
const IN_THE_BLOCK = ['quiesce', 'drain', 'suspend', 'confirm', 'flush', 'capture', 'attest', 'resume'];

async function loseAllData({ cluster, writer, teller }: Scene): Promise<number> {
  teller.say('More rows come in, by INSERT and by cpimport. Then all three nodes lose dbroots and data directories.');
  await importRows(cluster.primary, { first: SALES + 1, rows: LATER_SALES });
  const { last } = writer;
  await eventually(() => writer.last > last + 20);
  await step(
    teller,
    'Stop all, delete all dbroots and data',
    () => loseEverything(cluster),
    () => 'nothing is left of them',
  );
  return Date.now();
}

async function bringItBack(scene: Scene, { set }: BackupReport, sums: ShopSums, lostAt: number): Promise<void> {
  const { cluster, agents, writer, notes, teller } = scene;
  teller.say('The plan touches nothing. Its id confirms it.');
  const plan = await step(
    teller,
    'stillpoint restore plan latest',
    async () => (await agents.ok('restore', 'plan', 'latest', '--replication', 'start')).line<RestorePlan>('restore-plan'),
    ({ id }) => id,
  );
  const restore = await step(
    teller,
    'stillpoint restore run',
    async () => (await agents.ok('restore', 'run', plan.id)).line<RestoreReport>('restore'),
    ({ nodes }) => `${megabytes(sum(nodes.map((node) => node.bytes)))} in place`,
  );
  notes.times.restore = restore.elapsedMs;
  const all = await Promise.all(cluster.nodes.map(async (node) => JSON.stringify(atRest(await shopSums(node)))));
  check(notes, 'Every column of every table is as at the cut', all[0] === JSON.stringify(sums), `${Object.keys(sums).length} tables`);
  check(notes, 'All three nodes read the same', new Set(all).size === 1, 'full scans on each');
  const rows = new Set(await numbers(cluster.primary));
  const before = writer.acknowledgedBefore(Date.parse(set.cutAt));
  const after = writer.sentBetween(Date.parse(set.releasedAt), lostAt);
  const missing = before.filter((n) => !rows.has(n)).length;
  const surplus = after.filter((n) => rows.has(n)).length;
  check(
    notes,
    'Every row of before the cut is there',
    before.length > 0 && missing === 0,
    `${before.length - missing} of ${before.length}`,
  );
  check(notes, 'No row of after the cut is', after.length > 0 && surplus === 0, `${surplus} of ${after.length}`);
  await writeAgain(scene);
}

async function writeAgain({ cluster, writer, notes }: Scene): Promise<void> {
  const { written } = writer;
  const again = await eventually(() => writer.written > written + 5).then(
    () => true,
    () => false,
  );
  check(notes, 'The client inserts again', again, `${writer.written - written} inserts`);
  const last = cluster.nodes.at(-1) ?? cluster.primary;
  await importRows(last, { first: 2 * SALES, rows: 1_000 });
  const [row] = await cluster.primary.sql('SELECT COUNT(*) AS sales FROM shop.sales');
  check(notes, 'cpimport loads again, on another node', Number(row?.sales) === SALES + 1_000, `${row?.sales} rows`);
  const status = await cluster.status();
  check(notes, 'The engine is read-write and ready', status === 'OK. (and the system is ready)', status);
  await checkLocks(cluster, writer, notes, 'No table is locked');
}

/** While nobody writes: every insert holds the lock of its table. */
async function checkLocks(cluster: ColumnstoreCluster, writer: Writer, notes: Notes, name: string): Promise<void> {
  const goOn = await writer.pause();
  const locks = await cluster.locks();
  goOn();
  check(notes, name, locks === '', locks === '' ? 'viewtablelock shows none' : locks);
}

/** Tables that nobody writes to meanwhile. */
const atRest = ({ sales, returns, customers }: ShopSums): ShopSums => ({
  ...(sales && { sales }),
  ...(returns && { returns }),
  ...(customers && { customers }),
});

const shape = ({ nodes }: ColumnstoreCluster): string =>
  nodes.map(({ name, dbroots }) => `${name} with dbroot ${dbroots.join(', ')}`).join('; ');
