import { setTimeout as delay } from 'node:timers/promises';
import type { TableLock } from '@stillpoint/shared/errors';
import { EXIT } from '@stillpoint/shared/errors';
import { createConnection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Command } from '../harness/cli.ts';
import { eventually } from '../harness/eventually.ts';
import type { Writer } from '../harness/writer.ts';
import { type Agents, startAgents } from './harness/agents.ts';
import { openImport, tryImportRows } from './harness/bulk-load.ts';
import { type ColumnstoreCluster, startColumnstoreCluster } from './harness/cluster.ts';
import { makeShop, numbers, shopSums, startShopWriter } from './harness/shop.ts';

const READY = 'OK. (and the system is ready)';
const READ_ONLY = 'DBRM is currently Read Only!';

interface ErrorLine {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly node: string | null;
  readonly tableLocks: readonly TableLock[];
}

let cluster: ColumnstoreCluster;
let agents: Agents;
/** One client on the primary, one on another node. */
let writers: readonly [Writer, Writer];

beforeAll(async () => {
  cluster = await startColumnstoreCluster({ nodes: 3 });
  await makeShop(cluster, 20_000);
  agents = await startAgents(cluster, { backup: { lockAttempts: 1, columnstore: { drainTimeout: '8s', cpimport: 'wait' } } });
  writers = [startShopWriter(cluster.primary), startShopWriter(cluster.node('pm3'), 'ticks_elsewhere', 1_000_001)];
});
afterEach(async () => {
  agents?.openGates();
  // A failed test may have left one down: it must not fail the next one too.
  await Promise.all((cluster?.nodes ?? []).map(({ name }) => agents?.agent(name).start()));
});
afterAll(async () => {
  await Promise.all((writers ?? []).map((writer) => writer.stop()));
  await cluster?.remove();
});

/** Columns are as wide as their widest value. */
const words = (line: string): string => line.replaceAll(/ +/g, ' ');

const goodSets = async (): Promise<string[]> => (await agents.ok('backup', 'list')).all<{ setId: string }>('set').map(({ setId }) => setId);

async function writersGoOn(): Promise<void> {
  const written = writers.map((writer) => writer.written);
  await eventually(() => writers.every((writer, index) => writer.written > (written[index] ?? 0) + 2));
}

/** Writes go on everywhere, nothing is locked, the next backup works. */
async function expectSound(): Promise<void> {
  await eventually(async () => (await cluster.status()) === READY);
  await writersGoOn();
  const resumes = await Promise.all(writers.map((writer) => writer.pause()));
  expect(await cluster.locks()).toBe('');
  for (const resume of resumes) resume();
  const before = await goodSets();
  await agents.ok('backup', 'create');
  expect(await goodSets()).toHaveLength(before.length + 1);
}

/** Programs of the engine that are stopped under an insert lose it, or keep its client waiting. An insert that waits for just that is not waited for. */
async function whileNobodyWrites(work: () => Promise<void>): Promise<void> {
  const pauses = writers.map((writer) => writer.pause());
  await Promise.race([Promise.all(pauses), delay(15_000)]);
  await work();
  for (const resume of await Promise.all(pauses)) resume();
}

/** Starts a backup and gives it while the engine is suspended: the primary's image waits at a gate. */
async function suspended(): Promise<{ command: Command; goOn: () => void }> {
  const gate = agents.gate('pm1', 'mariadb-backup', '--backup');
  // Else nothing of it would be left to wait by then.
  const command = agents.start('backup', 'create', '--capture', 'locked');
  await Promise.race([
    gate.reached(),
    command.ended.then((ended) => Promise.reject(new Error(`it ended:\n${ended.stdout}${ended.stderr}`))),
  ]);
  expect((await cluster.status()).startsWith(READ_ONLY)).toBe(true);
  return { command, goOn: () => gate.open() };
}

describe('while the engine is suspended', () => {
  it('cpimport is refused, leaves no lock, and queries go on', async () => {
    const sums = await shopSums(cluster.primary);
    const { command, goOn } = await suspended();
    const refused = await tryImportRows(cluster.node('pm2'), { first: 3_000_001, rows: 100 });
    expect(refused.exitCode).toBe(1);
    expect(`${refused.stdout}${refused.stderr}`).toContain('System in ReadOnly state');
    expect((await shopSums(cluster.node('pm3'))).sales).toEqual(sums.sales);
    goOn();
    expect((await command.ended).exitCode).toBe(0);
    await expectSound();
  });

  it('a controller that is killed leaves a cluster that writes again, without a failed statement', async () => {
    const before = await goodSets();
    const windows = writers.map((writer) => writer.window());
    const { command, goOn } = await suspended();
    command.kill('SIGKILL');
    await command.ended;
    await eventually(async () => (await cluster.status()) === READY);
    await writersGoOn();
    goOn();
    for (const window of windows) expect(window().errors).toEqual([]);
    expect(await goodSets()).toEqual(before);
    await expectSound();
  });

  it("the primary's agent killed with -9: waiting INSERTs succeed, no lock stays, the set is void", async () => {
    const before = await goodSets();
    const windows = writers.map((writer) => writer.window());
    const { command, goOn } = await suspended();
    await agents.agent('pm1').kill('SIGKILL');
    await eventually(async () => (await cluster.status()) === READY);
    await writersGoOn();
    goOn();
    const ended = await command.ended;
    expect(ended.exitCode).not.toBe(0);
    for (const window of windows) expect(window().errors).toEqual([]);
    expect(await goodSets()).toEqual(before);
    await agents.agent('pm1').start();
    await expectSound();
  });

  it("another node's agent killed with -9: its writers wait until the engine is read-write", async () => {
    const windows = writers.map((writer) => writer.window());
    const { command, goOn } = await suspended();
    await agents.agent('pm3').kill('SIGKILL');
    goOn();
    expect((await command.ended).exitCode).not.toBe(0);
    await eventually(async () => (await cluster.status()) === READY);
    await writersGoOn();
    for (const window of windows) expect(window().errors).toEqual([]);
    await agents.agent('pm3').start();
    await expectSound();
  });
});

describe('what stands in the way', () => {
  it('an open transaction is named, and loses nothing', async () => {
    const client = await createConnection({ host: cluster.primary.address, user: 'root' });
    try {
      await client.query('SET autocommit = 0');
      await client.query("INSERT INTO shop.returns VALUES (900001, 'open'), (900002, 'open')");
      const refused = await agents.run('backup', 'create');
      const error = refused.line<ErrorLine>('error');
      expect(error).toMatchObject({
        code: 'DRAIN_TIMEOUT',
        tableLocks: [{ table: 'shop.returns', process: expect.stringContaining('DMLProc') }],
      });
      expect(refused.exitCode).toBe(EXIT.LOCK);
      await client.query('COMMIT');
    } finally {
      await client.end();
    }
    const [row] = await cluster.node('pm2').sql('SELECT COUNT(*) AS found FROM shop.returns WHERE id IN (900001, 900002)');
    expect(Number(row?.found)).toBe(2);
    await expectSound();
  });

  it('a running cpimport is waited for within the bound', async () => {
    const load = await openImport(cluster.node('pm2'), { first: 6_000_001, rows: 2_000 });
    const command = agents.start('backup', 'create');
    await command.until((line) => line.type === 'phase' && line.phase === 'drain');
    load.finish();
    expect((await load.ended).exitCode).toBe(0);
    expect((await command.ended).exitCode).toBe(0);
    await expectSound();
  });

  it('a cpimport killed with -9 leaves a lock that is named and never cleared', async () => {
    const load = await openImport(cluster.primary, { first: 7_000_001, rows: 2_000 });
    await cluster.primary.kill('cpimport');
    await Promise.allSettled(cluster.nodes.map((node) => node.kill('cpimport.bin')));
    load.finish();
    await load.ended;
    const lockOfLoad = async () => (await cluster.locks()).split('\n').filter((line) => line.includes('cpimport'));
    const locked = await lockOfLoad();
    expect(locked).toHaveLength(1);
    const error = (await agents.run('backup', 'create')).line<ErrorLine>('error');
    expect(error).toMatchObject({
      code: 'DRAIN_TIMEOUT',
      tableLocks: [{ table: 'shop.sales', process: expect.stringContaining('cpimport') }],
    });
    expect((await lockOfLoad()).map(words)).toEqual(locked.map(words));
    const [lock] = error.tableLocks;
    await cluster.primary.sh(`cleartablelock ${lock?.id}`);
    await expectSound();
  });
});

it('an engine that was read-only before is refused, and left as it was', async () => {
  await cluster.primary.sh('dbrmctl readonly');
  const refused = await agents.run('backup', 'create');
  expect(refused.stdout).toContain('ENGINE_READ_ONLY');
  expect(refused.exitCode).toBe(EXIT.CHECK_FAILED);
  expect((await cluster.status()).startsWith(READ_ONLY)).toBe(true);
  await cluster.primary.sh('dbrmctl readwrite');
  // Clients that met the read-only engine have failed, and the lock of a single-row INSERT stays until DMLProc is restarted.
  await cluster.primary.sh('/usr/local/sbin/engine stop DMLProc && /usr/local/sbin/engine start DMLProc');
  await expectSound();
});

it('controllernode killed while suspended: the set is void, and the report says what to restart', async () => {
  const before = await goodSets();
  const { command, goOn } = await suspended();
  await cluster.primary.kill('controllernode');
  await cluster.primary.sh('/usr/local/sbin/engine start controllernode');
  goOn();
  const ended = await command.ended;
  expect(ended.exitCode).toBe(EXIT.BACKUP_FAILED);
  const error = ended.line<ErrorLine>('error');
  expect(error.message).toMatch(/controllernode .* is another process now/);
  // Whether the node that attests tells it, or the first one whose hold is lost by that.
  expect(`${error.code}: ${error.message}`).toContain('ATTEST_FAILED');
  expect(error.hint).toMatch(/DMLProc.*ExeMgr/s);
  expect(await goodSets()).toEqual(before);
  await whileNobodyWrites(async () => {
    for (const node of cluster.nodes) await node.sh('/usr/local/sbin/engine stop ExeMgr && /usr/local/sbin/engine start ExeMgr');
    await cluster.primary.sh('/usr/local/sbin/engine stop DMLProc && /usr/local/sbin/engine start DMLProc');
  });
  await expectSound();
  for (const [index, writer] of writers.entries()) {
    const rows = new Set(await numbers(cluster.primary, index === 0 ? 'ticks' : 'ticks_elsewhere'));
    expect(writer.acknowledgedBefore(Date.now() - 1_000).filter((n) => !rows.has(n))).toEqual([]);
  }
});
