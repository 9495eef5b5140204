import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RestorePlan, RestoreSummary } from '@stillpoint/controller';
import { EXIT } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, runStillpoint } from '../harness/cli.ts';
import { startCluster, type TestCluster, type TestNode } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { expectNextBackupWorks, expectRefusal, goodSets, whenFree } from '../harness/expect.ts';

/** One cluster that keeps its last two sets: the tests are a story and run in order. */
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startCluster({ backup: { retention: { keepLast: 2 } } });
});
afterEach(() => cluster?.openGates());
afterAll(() => cluster?.remove());

interface PrunedSet {
  readonly setId: string;
  readonly outcome: string;
  readonly reasons: readonly string[];
  readonly bytes: number;
}

const backup = async (): Promise<string> => (await cluster.ok('backup', 'create')).line<{ setId: string }>('backup').setId;
const setsOn = ({ repository }: TestNode): string[] =>
  existsSync(join(repository, 'shop')) ? readdirSync(join(repository, 'shop')).sort() : [];
/** Sets of which something lies on each node. */
const onDisk = (): Record<string, string[]> => Object.fromEntries(cluster.nodes.map((node) => [node.name, setsOn(node)]));
const everywhere = (...sets: string[]) => ({ db1: sets.toSorted(), db2: sets.toSorted(), db3: sets.toSorted() });
const judged = (ended: Ended, setId: string): PrunedSet | undefined =>
  ended.all<PrunedSet>('pruned-set').find((one) => one.setId === setId);
/** The same cluster, driven from another host: with a state directory of its own. */
const elsewhere = (...args: string[]): Promise<Ended> => {
  const config = JSON.parse(readFileSync(cluster.configFile, 'utf8')) as object;
  const file = join(cluster.directory, 'elsewhere.yaml');
  writeFileSync(file, JSON.stringify({ ...config, stateDir: join(cluster.directory, 'elsewhere') }));
  return runStillpoint([...args, '--config', file]);
};

let keepsake: string;

describe('sets that no rule keeps', () => {
  it('vanish from every node after a good backup; a protected one stays', async () => {
    keepsake = await backup();
    await cluster.ok('backup', 'protect', keepsake);
    for (const node of cluster.nodes) expect(existsSync(join(node.repository, 'shop', keepsake, 'protected.json'))).toBe(true);
    const second = await backup();
    const third = await backup();
    expect(onDisk()).toEqual(everywhere(keepsake, second, third));
    const ended = await cluster.ok('backup', 'create');
    const fourth = ended.line<{ setId: string }>('backup').setId;
    expect(ended.line('backup').pruned).toMatchObject({ removed: [second], begun: [], silent: [] });
    expect(onDisk()).toEqual(everywhere(keepsake, third, fourth));
    expect(await goodSets(cluster)).toEqual([fourth, third, keepsake]);
    expect(await goodSets(cluster, '--rescan')).toEqual([fourth, third, keepsake]);
    expect((await cluster.ok('backup', 'verify', keepsake)).line('verify').ok).toBe(true);
  });

  it('do not vanish by a look beforehand', async () => {
    const before = onDisk();
    const ended = await cluster.ok('backup', 'prune', '--dry-run', '--keep-last', '1');
    expect(ended.all<PrunedSet>('pruned-set').map(({ outcome }) => outcome)).toEqual(['kept', 'removed', 'kept']);
    expect(judged(ended, keepsake)?.reasons).toEqual(['protected']);
    expect(onDisk()).toEqual(before);
  });
});

it('a protected set is not deleted by hand either, wherever that is tried', async () => {
  expectRefusal(await cluster.run('backup', 'delete', keepsake, '--yes'), 'SET_PROTECTED');
  // A controller that has never looked has no catalog; the repositories know.
  expect((await elsewhere('backup', 'list', '--rescan')).all('set').at(-1)).toMatchObject({ setId: keepsake, protected: true });
  expectRefusal(await elsewhere('backup', 'delete', keepsake, '--yes'), 'SET_PROTECTED');
  expect(await goodSets(cluster, '--rescan')).toContain(keepsake);
});

it('a node that is away when sets are removed is cleaned once it is back, and they are not good meanwhile', async () => {
  const [fourth = '', third = ''] = await goodSets(cluster);
  await cluster.node('db3').agent.kill('SIGKILL');
  const ended = await cluster.run('backup', 'prune', '--keep-last', '1', '--yes');
  expect(ended.exitCode).toBe(EXIT.UNREACHABLE);
  expect(judged(ended, third)).toMatchObject({ outcome: 'begun' });
  expect(onDisk()).toEqual({ ...everywhere(keepsake, fourth), db3: [keepsake, third, fourth].toSorted() });
  expect(await goodSets(cluster)).toEqual([fourth, keepsake]);

  await cluster.node('db3').agent.start();
  expect(await goodSets(cluster, '--rescan')).toEqual([fourth, keepsake]);
  const cleaned = await cluster.ok('repository', 'clean');
  expect(judged(cleaned, third)).toMatchObject({ outcome: 'removed' });
  expect(judged(cleaned, third)?.bytes).toBeGreaterThan(0);
  expect(onDisk()).toEqual(everywhere(keepsake, fourth));
  expect(await goodSets(cluster, '--rescan')).toEqual([fourth, keepsake]);
});

it('a set that a restore has yet to read stays until that is over, for other controllers too', async () => {
  const source = await backup();
  await backup();
  expect(await goodSets(cluster)).toContain(source);
  const { id } = (await cluster.ok('restore', 'plan', source, '--replication', 'start')).line<RestorePlan>('restore-plan');
  const gate = cluster.node('db2').gate('mariadb-backup', '--prepare');
  const restore = cluster.start('restore', 'run', id, '--stop-servers');
  await gate.reached();
  // Its nodes are claimed.
  expectRefusal(await elsewhere('backup', 'prune', '--keep-last', '1', '--yes'), 'NODE_BUSY');
  restore.kill('SIGKILL');
  await restore.ended;
  gate.open();

  const kept = await whenFree(cluster, 'backup', 'prune', '--keep-last', '1', '--yes');
  const [last] = (await cluster.ok('restore', 'list')).all<RestoreSummary>('restore-operation');
  expect(judged(kept, source)).toMatchObject({ outcome: 'kept', reasons: [`${last?.operationId} has yet to read it`] });
  const other = await elsewhere('backup', 'prune', '--keep-last', '1', '--yes');
  expect(judged(other, source)).toMatchObject({ outcome: 'kept', reasons: [`${last?.operationId} has yet to read it`] });
  expectRefusal(await elsewhere('backup', 'delete', source, '--yes'), 'RESTORE_UNFINISHED');
  expect(await goodSets(cluster, '--rescan')).toContain(source);

  await cluster.ok('restore', 'rollback', last?.operationId ?? '', '--yes');
  await cluster.ok('backup', 'prune', '--keep-last', '1', '--yes');
  expect(await goodSets(cluster, '--rescan')).not.toContain(source);
  for (const node of cluster.nodes) expect(setsOn(node)).not.toContain(source);
});

it('what a dead backup left behind on an agent that has forgotten it is found and removed', async () => {
  const node = cluster.node('db2');
  const before = setsOn(node);
  const gate = node.gate('mariadb-backup', '--backup');
  const running = cluster.start('backup', 'create');
  await gate.reached();
  await node.agent.kill('SIGKILL');
  await running.ended;
  gate.open();
  // As after a new installation: nothing says any more whose the part is.
  rmSync(join(node.directory, 'agent-state', 'operations'), { recursive: true });
  await node.agent.start();
  const [left = ''] = setsOn(node).filter((setId) => !before.includes(setId));
  const part = join(node.repository, 'shop', left, node.name);
  expect(existsSync(part)).toBe(true);

  expect((await whenFree(cluster, 'repository', 'clean')).all('leftover')).toEqual([]);
  const looked = await cluster.ok('repository', 'clean', '--dry-run', '--older-than', '0s');
  // mariadb-backup stood before it had connected, so the password that it was given lies there as well.
  const optionFile = expect.stringContaining('.mariadb-backup-');
  expect(looked.all('leftover')).toMatchObject([
    { node: 'db2', kind: 'scratch', path: optionFile, removed: false },
    { node: 'db2', kind: 'part', path: part, removed: false },
  ]);
  expect(existsSync(part)).toBe(true);
  const cleaned = await cluster.ok('repository', 'clean', '--older-than', '0s');
  expect(cleaned.all('leftover')).toMatchObject([
    { path: optionFile, removed: true },
    { path: part, removed: true },
  ]);
  expect(existsSync(dirname(part))).toBe(false);
  expect((await cluster.ok('repository', 'clean', '--older-than', '0s')).all('leftover')).toEqual([]);
  await cluster.ok('backup', 'unprotect', keepsake);
  await eventually(async () => (await cluster.run('backup', 'prune', '--keep-last', '2', '--yes')).exitCode === EXIT.OK);
  await cluster.ok('backup', 'prune', '--keep-last', '1', '--yes');
  await expectNextBackupWorks(cluster);
});
