import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importRows, openImport } from './harness/bulk-load.ts';
import { type ColumnstoreCluster, type ColumnstoreClusterOptions, startColumnstoreCluster } from './harness/cluster.ts';
import { DATA_DIRECTORY } from './harness/columnstore-xml.ts';
import { makeShop, numbers, rowsByDbroot, shopSums, startShopWriter } from './harness/shop.ts';

const CLUSTERS: Record<string, Required<Pick<ColumnstoreClusterOptions, 'nodes' | 'dbroots'>>> = {
  'one node': { nodes: 1, dbroots: [[1]] },
  'three nodes': { nodes: 3, dbroots: [[1], [2], [3]] },
  'two nodes, one of them with two dbroots, a number left out': { nodes: 2, dbroots: [[1], [2, 4]] },
};

describe.each(Object.entries(CLUSTERS))('%s', (_, options) => {
  let cluster: ColumnstoreCluster;
  beforeAll(async () => {
    cluster = await startColumnstoreCluster(options);
    await makeShop(cluster, 30_000);
  });
  afterAll(() => cluster?.remove());

  const sumsOnAllNodes = () => Promise.all(cluster.nodes.map(shopSums));
  const expectHealthy = async () => {
    expect(await cluster.status()).toBe('OK. (and the system is ready)');
    expect(await cluster.locks()).toBe('');
  };

  test('cpimport fills every node, every dbroot holds something, and every server reads all of it', async () => {
    // A small import takes one dbroot of each node; tables begin on different ones.
    const held = await rowsByDbroot(cluster.primary, 'shop.sales', 'id');
    for (const { name, dbroots } of cluster.nodes)
      expect(
        dbroots.some((number) => (held[number] ?? 0) > 0),
        name,
      ).toBe(true);
    for (const node of cluster.nodes)
      for (const number of node.dbroots)
        expect(await node.sh(`find ${DATA_DIRECTORY}/data${number} -name 'FILE*.cdf' | head -1`), `dbroot ${number}`).not.toBe('');
    const [first, ...others] = await sumsOnAllNodes();
    expect(first?.sales).toMatchObject({ 'COUNT(*)': '30000', 'COUNT(note)': '30000' });
    expect(first?.returns).toMatchObject({ 'COUNT(*)': '100' });
    for (const other of others) expect(other).toEqual(first);
    await expectHealthy();
  });

  test('clients insert through every server while another loads', async () => {
    const writers = cluster.nodes.map((node, index) =>
      startShopWriter(node, index === 0 ? 'ticks' : 'ticks_elsewhere', 1 + index * 1_000_000),
    );
    const windows = writers.map((writer) => writer.window());
    await importRows(cluster.nodes.at(-1) ?? cluster.primary, { first: 1_000_001, rows: 3_000 });
    await Promise.all(writers.map((writer) => expect.poll(() => writer.written, { timeout: 60_000 }).toBeGreaterThan(3)));
    // An insert that a client gives up on may have been done.
    await Promise.all(writers.map((writer) => writer.pause()));
    await Promise.all(writers.map((writer) => writer.stop()));
    for (const window of windows) expect(window().errors).toEqual([]);
    const [first] = writers;
    expect((await numbers(cluster.primary)).length).toBe(first?.written);
    const [sums, ...others] = await sumsOnAllNodes();
    expect(sums?.sales).toMatchObject({ 'COUNT(*)': '33000' });
    for (const other of others) expect(other).toEqual(sums);
    await expectHealthy();
  });

  test('an import that waits for its rows holds the lock of its table', async () => {
    const open = await openImport(cluster.primary, { first: 2_000_001, rows: 1_000 });
    expect(await cluster.locks()).toContain('shop.sales');
    open.finish();
    expect(await open.ended).toMatchObject({ exitCode: 0 });
    await expectHealthy();
  });

  test('stopped in order and started from disk, it holds the same', async () => {
    const before = await sumsOnAllNodes();
    await cluster.stop();
    for (const node of cluster.nodes) expect(await node.sh('pgrep -u mysql -l || true; ls /dev/shm | grep MCS || true')).toBe('');
    await cluster.start();
    expect(await sumsOnAllNodes()).toEqual(before);
    await expectHealthy();
    await cluster.primary.sql(
      "INSERT INTO shop.returns VALUES (101, 'afterwards')",
      "UPDATE shop.sales SET note = 'changed' WHERE id < 100",
    );
    await importRows(cluster.primary, { first: 3_000_001, rows: 500 });
    expect((await shopSums(cluster.primary)).returns).toMatchObject({ 'COUNT(*)': '101' });
    await expectHealthy();
  });

  test('after a power cut it comes up from disk and holds the same', async () => {
    const before = await sumsOnAllNodes();
    await Promise.all(cluster.nodes.map((node) => node.cutPower()));
    await Promise.all(cluster.nodes.map((node) => node.switchOn()));
    await cluster.start();
    expect(await sumsOnAllNodes()).toEqual(before);
    await expectHealthy();
  });
});
