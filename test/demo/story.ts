import type { BackupReport, RestorePlan, RestoreReport } from '@stillpoint/controller';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { mark, markers, replicationProblem, shopChecksums, ticks, wipe } from '../harness/data.ts';
import { eventually } from '../harness/eventually.ts';
import { ownProcesses } from '../harness/processes.ts';
import type { Writer } from '../harness/writer.ts';
import { check, count, type Notes, noNotes, step, sum } from './notes.ts';
import { megabytes, type Summary, type Teller } from './teller.ts';

const MEBIBYTES = 128;

/** What the chapters share. */
interface Scene {
  readonly cluster: TestCluster;
  readonly writer: Writer;
  readonly notes: Notes;
  readonly teller: Teller;
}

/** The whole demo. Never throws: what goes wrong stands in the summary, and nothing is left behind either way. */
export async function tellStory(teller: Teller): Promise<Summary> {
  const notes = noNotes();
  let error: string | undefined;
  let cluster: TestCluster | undefined;
  let writer: Writer | undefined;
  try {
    teller.say('Three MariaDB servers: one primary, two replicas.');
    cluster = await step(teller, 'Start servers, agents and certificates', () => startCluster({ mebibytes: MEBIBYTES }), shape);
    const startedAt = performance.now();
    writer = cluster.writer();
    const scene: Scene = { cluster, writer, notes, teller };
    const backup = await takeBackup(scene);
    await loseEverything(scene);
    await bringItBack(scene, backup);
    await goBack(scene);
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

async function takeBackup({ cluster, writer, notes, teller }: Scene): Promise<BackupReport> {
  teller.say('A client writes all the time. Meanwhile one command backs up all three.');
  await mark(cluster.primary.server, 'before');
  await eventually(() => writer.last > 200);
  const window = writer.window();
  const report = await step(
    teller,
    'stillpoint backup create',
    async () => (await cluster.ok('backup', 'create')).line<BackupReport>('backup'),
    ({ set }) => `set ${set.setId}`,
  );
  const noticed = window();
  const { set } = report;
  notes.block.longestInsertOfTheClient = noticed.longestMs;
  notes.block.reportedByStillpoint = Math.max(...set.members.map((member) => member.blockedMs));
  notes.block.firstToLastLock = set.holdSkewMs;
  notes.sizes.serverFilesOnAllNodes = sum(set.members.map((member) => member.dataBytes));
  notes.sizes.storedOnAllNodes = sum(set.members.map((member) => member.storedBytes));
  notes.times.backup = report.elapsedMs;
  check(notes, 'The client saw no error during the backup', noticed.errors.length === 0, `${noticed.writes} inserts`);
  const verified = await step(
    teller,
    'stillpoint backup verify latest',
    () => cluster.run('backup', 'verify', 'latest'),
    ({ exitCode }) => (exitCode === 0 ? 'every byte has its hash' : `exit code ${exitCode}`),
  );
  check(notes, 'The set verifies', verified.exitCode === 0, `exit code ${verified.exitCode}`);
  return report;
}

async function loseEverything({ cluster, writer, teller }: Scene): Promise<void> {
  teller.say('More rows are written after the backup. Then all three servers lose their data.');
  await mark(cluster.primary.server, 'after');
  const last = writer.last;
  await eventually(() => writer.last > last + 100);
  await cluster.caughtUp();
  await step(
    teller,
    'Stop all servers, delete all data directories',
    () => wipe(cluster.nodes.map((node) => node.server)),
    () => 'nothing is left of them',
  );
}

async function bringItBack(scene: Scene, backup: BackupReport): Promise<void> {
  const { cluster, writer, notes, teller } = scene;
  teller.say('The plan touches nothing. Its id confirms it.');
  const lostAt = Date.now();
  const { restore } = await planAndRun(scene, 'restore');
  const noticed = restore.nodes.map((node) => node.tablesEqual);
  check(
    notes,
    'Checksums equal those of the cut, before the switch',
    noticed.every((tables) => tables > 0),
    `${noticed.join(' + ')} tables`,
  );
  await proveCut(scene, backup, lostAt);

  const again = writer.last;
  await eventually(() => writer.last > again + 20);
  await mark(cluster.primary.server, 'new');
  await cluster.caughtUp();
  const problems = await Promise.all(cluster.replicas.map(({ server }) => replicationProblem(server)));
  check(
    notes,
    'Both replicas replicate',
    problems.every((one) => one === undefined),
    problems.find((one) => one !== undefined) ?? 'by GTID',
  );
  const arrived = await Promise.all(cluster.replicas.map(async ({ server }) => (await markers(server)).includes('new')));
  check(notes, 'A new row arrives on both replicas', arrived.every(Boolean), `${count(arrived)} of ${arrived.length}`);
  await proveEqual(scene, 'All three servers hold the same data');
}

/** Rows of before the cut are there, and rows of after it are not: by what the client itself remembers. */
async function proveCut({ cluster, writer, notes }: Scene, { set }: BackupReport, lostAt: number): Promise<void> {
  const there = await markers(cluster.primary.server);
  check(notes, 'The marker of before the backup is there', there.includes('before'), there.join(', '));
  check(notes, 'The marker of after the backup is not', !there.includes('after'), there.join(', '));
  const rows = new Set(await ticks(cluster.primary.server));
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
}

async function goBack(scene: Scene): Promise<void> {
  const { cluster, notes, teller } = scene;
  teller.say('Restoring over live data is safe too: the old data is kept, and going back is a rename.');
  const [first] = (await cluster.ok('restore', 'list')).all<{ operationId: string }>('restore-operation');
  await step(
    teller,
    'stillpoint restore finish',
    () => cluster.ok('restore', 'finish', first?.operationId ?? '', '--yes'),
    () => 'what was kept is discarded',
  );
  await mark(cluster.primary.server, 'live');
  await cluster.caughtUp();
  const { restore } = await planAndRun(scene, 'restoreOverLiveData');
  const replaced = await markers(cluster.primary.server);
  check(notes, 'The second restore took the live row away', !replaced.includes('live'), replaced.join(', '));
  const startedAt = performance.now();
  await step(
    teller,
    'stillpoint restore rollback',
    () => cluster.ok('restore', 'rollback', restore.operationId, '--yes'),
    () => 'what was there before is back',
  );
  notes.times.rollback = performance.now() - startedAt;
  const back = await Promise.all(cluster.nodes.map(async ({ server }) => (await markers(server)).includes('live')));
  check(notes, 'The rollback brought it back on all three', back.every(Boolean), `${count(back)} of ${back.length}`);
  await proveEqual(scene, 'All three servers hold the same data again');
}

async function planAndRun({ cluster, notes, teller }: Scene, name: string): Promise<{ plan: RestorePlan; restore: RestoreReport }> {
  const plan = await step(
    teller,
    'stillpoint restore plan latest',
    async () => (await cluster.ok('restore', 'plan', 'latest', '--replication', 'start')).line<RestorePlan>('restore-plan'),
    ({ id, nodes }) => `${id}: ${nodes.map(({ node, image }) => (node === image ? node : `${node} from ${image}`)).join(', ')}`,
  );
  const restore = await step(
    teller,
    'stillpoint restore run',
    async () => (await cluster.ok('restore', 'run', plan.id, '--stop-servers')).line<RestoreReport>('restore'),
    ({ nodes }) => `${megabytes(sum(nodes.map((node) => node.bytes)))} in place`,
  );
  notes.times[name] = restore.elapsedMs;
  return { plan, restore };
}

async function proveEqual({ cluster, writer, notes }: Scene, name: string): Promise<void> {
  // Compared while nothing is written: the client goes on afterwards.
  const resume = await writer.pause();
  await cluster.caughtUp();
  const sums = await Promise.all(cluster.nodes.map(async ({ server }) => JSON.stringify(await shopChecksums(server))));
  resume();
  check(notes, name, new Set(sums).size === 1, `${Object.keys(JSON.parse(sums[0] ?? '{}')).length} tables, CHECKSUM EXTENDED`);
}

const shape = ({ nodes }: TestCluster): string =>
  `${nodes.map((node) => `${node.name} on ${node.address}`).join(', ')}; ${MEBIBYTES} MiB each`;
