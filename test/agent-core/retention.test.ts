import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { setDirectory } from '@stillpoint/shared/manifest';
import type { OperationKind } from '@stillpoint/shared/operation';
import { type CleanNodeResponse, LeftoverKind, type ListSetsResponse } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newState, type RestoreState, saveState } from '../../packages/agent/src/restore/state.ts';
import { makePartDirectory, setManifest, writePartManifest } from '../agent-restore/parts.ts';
import { drain, failureOf } from '../harness/served.ts';
import { canMount, mountSmallDisk } from '../harness/small-disk.ts';
import { claimed } from './backup.ts';
import { type AgentClient, CLUSTER, NODE, set, startBareNode } from './node.ts';

let node: Awaited<ReturnType<typeof startBareNode>>;
let client: AgentClient;
const mine: string[] = [];
beforeAll(async () => {
  node = await startBareNode();
  client = node.connect().client;
});
afterEach(async () => {
  for (const operationId of mine.splice(0)) await client.releaseNode({ operationId });
});
afterAll(() => node?.remove());

async function claim(kind: OperationKind): Promise<string> {
  const operationId = await claimed(client, kind);
  mine.push(operationId);
  return operationId;
}

/** A part with a file of 1000 bytes; committed unless said otherwise. */
function put({ setId = set(), uses = [] as readonly string[], commit = true, startedBy = '' } = {}): string {
  const place = { repository: node.repository, cluster: CLUSTER, setId, node: NODE };
  const part = makePartDirectory(place);
  writeFileSync(join(part, 'data.zst'), Buffer.alloc(1000));
  if (startedBy !== '') writeFileSync(join(part, 'started.json'), JSON.stringify({ operationId: startedBy }));
  const { sha256 } = writePartManifest(place, startedBy === '' ? {} : { operationId: startedBy });
  if (commit) writeFileSync(join(setAt(setId), 'set.json'), setManifest(place, { [NODE]: sha256 }, uses));
  return setId;
}
const setAt = (setId: string): string => setDirectory(node.repository, CLUSTER, setId);

const listed = async (setId: string): Promise<ListSetsResponse | undefined> =>
  (await drain(client.listSets({}))).find((one) => one.setId === setId);
async function deletes(setId: string): Promise<{ freedBytes: bigint }> {
  const operationId = await claimed(client, 'prune');
  try {
    return await client.deletePart({ operationId, setId });
  } finally {
    await client.releaseNode({ operationId });
  }
}

/** A restore of this node, as its journal has it. */
async function restore(phase: RestoreState['phase'], setId: string, changes: Partial<RestoreState> = {}): Promise<string> {
  const operationId = `restore-20261121-100100-${Math.floor(Math.random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0')}`;
  const state = newState({
    ...{ operationId, setId, partSha256: '', dbroots: [], columnstore: false, trees: [], made: [], gtidPosition: '' },
  });
  await saveState(node.stateDir, { ...state, phase, ...changes });
  return operationId;
}

describe('a protected set', () => {
  test('is told by the list, after a restart of the agent too, and is not deleted', async () => {
    const setId = put();
    const operationId = await claim('protect');
    expect(await client.protectSet({ operationId, setId, protect: true })).toMatchObject({ changed: true });
    expect(JSON.parse(readFileSync(join(setAt(setId), 'protected.json'), 'utf8'))).toMatchObject({
      ...{ setId, operationId, by: 'tester@here, pid 1' },
    });
    await client.releaseNode({ operationId });
    await node.process.kill('SIGKILL');
    await node.process.start();
    expect(await listed(setId)).toMatchObject({ protected: true });
    expect(await failureOf(deletes(setId))).toMatchObject({ code: 'SET_PROTECTED' });
    expect(await listed(setId)).toMatchObject({ hasPart: true });
  });

  test('is none without the claim of the node', async () => {
    const setId = put();
    expect(await failureOf(client.protectSet({ operationId: 'protect-1', setId, protect: true }))).toMatchObject({ code: 'CLAIM_MISSING' });
    expect(await listed(setId)).toMatchObject({ protected: false });
  });
});

test('a commit that is still under way when its part is deleted leaves nothing', async () => {
  const operationId = await claim('backup');
  for (let round = 0; round < 20; round += 1) {
    const setId = put({ commit: false });
    const place = { repository: node.repository, cluster: CLUSTER, setId, node: NODE };
    const { sha256 } = writePartManifest(place);
    // As when a controller is interrupted: it does not wait for the first answer.
    const committing = client.commitSet({ operationId, setId, manifest: setManifest(place, { [NODE]: sha256 }) });
    const deleting = client.deletePart({ operationId, setId });
    await Promise.allSettled([committing, deleting]);
    expect(existsSync(setAt(setId)) ? readdirSync(setAt(setId)) : []).toEqual([]);
  }
});

describe('before a part is deleted', () => {
  test.each(['staging', 'staged'] as const)('the agent looks for a restore that has yet to read the set: one that is %s', async (phase) => {
    const [setId, other] = [put(), put()];
    const restoring = await restore(phase, setId);
    expect(await listed(setId)).toMatchObject({ readBy: restoring });
    expect(await listed(other)).toMatchObject({ readBy: '' });
    expect(await failureOf(deletes(setId))).toMatchObject({ code: 'RESTORE_UNFINISHED', message: expect.stringContaining(restoring) });
    await restore('rolled-back', setId, { operationId: restoring });
    expect(Number((await deletes(setId)).freedBytes)).toBeGreaterThan(1000);
  });

  test('a restore that runs on its new data needs the set no more', async () => {
    const setId = put();
    const restoring = await restore('switched', setId);
    expect(await listed(setId)).toMatchObject({ readBy: '' });
    await deletes(setId);
    await restore('finished', setId, { operationId: restoring });
  });

  test('a journal that cannot be read may be of any set', async () => {
    const setId = put();
    const file = join(node.stateDir, 'restore', 'restore-20261121-100100-00000bad.json');
    writeFileSync(file, '{');
    expect(await failureOf(deletes(setId))).toMatchObject({
      code: 'RESTORE_UNFINISHED',
      message: expect.stringContaining('cannot be read'),
    });
    writeFileSync(file, readFileSync(join(node.stateDir, 'restore', `${await restore('finished', setId)}.json`)));
    await deletes(setId);
  });

  test('the agent looks for sets that need it', async () => {
    const base = put();
    const increment = put({ uses: [base] });
    expect(await failureOf(deletes(base))).toMatchObject({ code: 'SET_NEEDED', message: expect.stringContaining(increment) });
    await deletes(increment);
    await deletes(base);
    expect(await listed(base)).toBeUndefined();
  });
});

describe('cleaning', () => {
  const clean = async (operationId: string, { olderThanMs = 0, committed = [] as string[] } = {}): Promise<CleanNodeResponse[]> =>
    drain(client.cleanNode({ operationId, olderThan: durationFromMs(olderThanMs), committed }));
  const at = (found: readonly CleanNodeResponse[], path: string): CleanNodeResponse | undefined => found.find((one) => one.path === path);

  test('goes on past what the file system does not let go, and tells of it', async ({ skip }) => {
    skip(!canMount(), 'no file system can be mounted here');
    const [stuck = '', free = ''] = [put({ commit: false }), put({ commit: false })].sort();
    const disk = join(setAt(stuck), NODE, 'a-disk');
    mountSmallDisk(disk, '64k');
    const told: CleanNodeResponse[] = [];
    const failure = await failureOf(
      (async () => {
        for await (const one of client.cleanNode({ operationId: await claim('clean'), olderThan: durationFromMs(0) })) told.push(one);
      })(),
    );
    execFileSync('umount', [join(setAt(stuck), `.removed.${NODE}`, 'a-disk')]);
    expect(failure).toMatchObject({ code: 'FILE_REFUSED', message: expect.stringContaining('EBUSY') });
    expect(told.map(({ path, removed }) => [path, removed])).toEqual([
      [join(setAt(stuck), NODE), false],
      [join(setAt(free), NODE), true],
    ]);
    expect(told[0]?.staysBecause).toMatch(/^It could not be removed: EBUSY/);
    expect(existsSync(setAt(free))).toBe(false);
    expect((await clean(mine[0] ?? '')).map(({ removed }) => removed)).toEqual([true]);
  });

  test('finds parts that were never committed, tells their size, and removes them only under a claim', async () => {
    const [setId, good] = [put({ commit: false, startedBy: 'backup-1' }), put()];
    const part = join(setAt(setId), NODE);
    const [found, ...others] = await clean('');
    expect(others).toEqual([]);
    expect(found).toMatchObject({ kind: LeftoverKind.PART, path: part, staysBecause: '', removed: false });
    expect(found?.reason).toContain('backup-1');
    expect(Number(found?.bytes)).toBeGreaterThan(1000);
    expect(existsSync(part)).toBe(true);
    expect(await failureOf(clean('clean-1'))).toMatchObject({ code: 'CLAIM_MISSING' });
    expect(existsSync(part)).toBe(true);
    expect(at(await clean(await claim('clean')), part)).toMatchObject({ removed: true });
    expect(existsSync(setAt(setId))).toBe(false);
    expect(await listed(good)).toMatchObject({ hasPart: true });
    expect(await clean('')).toEqual([]);
  });

  test('leaves alone what is younger than it is told', async () => {
    const setId = put({ commit: false });
    expect(await clean(await claim('clean'), { olderThanMs: 3_600_000 })).toEqual([]);
    expect(existsSync(join(setAt(setId), NODE))).toBe(true);
    await clean(mine[0] ?? '');
  });

  test('leaves alone what belongs to the operation that has the node', async () => {
    const operationId = await claim('backup');
    const [alive, dead] = [put({ commit: false, startedBy: operationId }), put({ commit: false, startedBy: 'backup-1' })];
    expect((await clean('')).map(({ path }) => path)).toEqual([join(setAt(dead), NODE)]);
    await client.releaseNode({ operationId });
    const found = await clean(await claim('clean'));
    expect(found.map(({ path, removed }) => [path, removed]).toSorted()).toEqual(
      [alive, dead].map((setId) => [join(setAt(setId), NODE), true]).toSorted(),
    );
  });

  test('leaves a part whose set is committed on other nodes, and says so', async () => {
    const setId = put({ commit: false });
    const found = at(await clean(await claim('clean'), { committed: [setId] }), join(setAt(setId), NODE));
    expect(found).toMatchObject({ removed: false, staysBecause: expect.stringContaining('copied from them') });
    expect(existsSync(join(setAt(setId), NODE))).toBe(true);
    await clean(mine[0] ?? '');
  });

  test('finds what is left of deletions, scratch directories, and files that were being written', async () => {
    const [good, gone, empty] = [put(), set(), set()];
    const removed = join(setAt(gone), `.removed.${NODE}`);
    mkdirSync(removed, { recursive: true });
    mkdirSync(setAt(empty));
    writeFileSync(join(setAt(empty), 'HOW-TO-RESTORE.txt'), 'x');
    const scratch = join(setAt(good), NODE, '.mariadb-backup');
    mkdirSync(scratch);
    const written = join(setAt(good), '.set.json.0badcafe.tmp');
    const probe = join(node.repository, '.probe-1');
    for (const file of [written, probe]) writeFileSync(file, 'x');
    const found = await clean(await claim('clean'));
    expect(found.map(({ path, kind }) => [path, kind]).toSorted()).toEqual(
      [
        [removed, LeftoverKind.DELETED_SET],
        [setAt(empty), LeftoverKind.DELETED_SET],
        [scratch, LeftoverKind.SCRATCH],
        [written, LeftoverKind.SCRATCH],
        [probe, LeftoverKind.SCRATCH],
      ].toSorted(),
    );
    for (const path of [setAt(gone), setAt(empty), scratch, written, probe]) expect(existsSync(path), path).toBe(false);
    expect(readdirSync(join(setAt(good), NODE)).sort()).toEqual(['data.zst', 'part.json']);
  });

  test('finds what captures left outside of their parts, unless an operation has the node', async () => {
    const clones = join(node.repository, `.stillpoint-clones-${CLUSTER}-dbroot1`);
    mkdirSync(clones);
    const options = join(node.stateDir, '.mariadb-backup-0badcafe0bad.cnf');
    writeFileSync(options, 'password');
    mkdirSync(join(node.repository, '.stillpoint-clones-other-dbroot1'));
    const operationId = await claim('backup');
    expect(await clean('')).toEqual([]);
    await client.releaseNode({ operationId });
    const found = await clean(await claim('clean'));
    expect(found.map(({ path, removed }) => [path, removed]).toSorted()).toEqual(
      [
        [clones, true],
        [options, true],
      ].toSorted(),
    );
    expect(existsSync(clones) || existsSync(options)).toBe(false);
  });

  test('does not touch what people have put among the parts', async () => {
    const [good, foreign, empty] = [put(), set(), set()];
    const note = join(setAt(good), NODE, '.note');
    const precious = join(setAt(foreign), NODE, 'precious');
    for (const directory of [foreign, empty]) mkdirSync(join(setAt(directory), NODE), { recursive: true });
    for (const file of [note, precious]) writeFileSync(file, 'x');
    const found = await clean(await claim('clean'));
    expect(found.map(({ path, removed }) => [path, removed]).toSorted()).toEqual(
      [
        [join(setAt(foreign), NODE), false],
        [join(setAt(empty), NODE), true],
      ].toSorted(),
    );
    expect(at(found, join(setAt(foreign), NODE))?.staysBecause).toMatch(/^Nothing in it tells that a backup has made it/);
    expect(existsSync(note) && existsSync(precious)).toBe(true);
    rmSync(setAt(foreign), { recursive: true });
  });

  test('does not touch what is no set of ours, nor the parts of other nodes', async () => {
    const setId = set();
    writePartManifest({ repository: node.repository, cluster: CLUSTER, setId, node: 'db2' });
    mkdirSync(join(node.repository, CLUSTER, 'somebody-elses', NODE), { recursive: true });
    mkdirSync(join(node.repository, 'other-cluster', set(), NODE), { recursive: true });
    expect(await clean(await claim('clean'))).toEqual([]);
  });

  test('finds directories of restores that are over, and none of those that are not', async () => {
    const data = join(node.repository, '..', 'data');
    const tree = (operationId: string) => ({
      ...{ name: 'datadir', layout: 'beside' as const, live: join(data, 'mysql'), owner: { uid: 0, gid: 0 }, mode: 0o755 },
      ...{ stage: place('stage', operationId), kept: place('kept', operationId), undone: place('undone', operationId) },
    });
    const place = (what: string, operationId: string): string => join(data, `.stillpoint-${what}-${operationId}`);
    const past = async (phase: RestoreState['phase'], changes: (operationId: string) => Partial<RestoreState>) => {
      const operationId = await restore(phase, 'x');
      await restore(phase, 'x', { operationId, trees: [tree(operationId)], ...changes(operationId) });
      return operationId;
    };
    const finished = await past('finished', () => ({}));
    const switched = await past('switched', (id) => ({ keptIn: [place('kept', id)] }));
    const rolledBack = await past('rolled-back', (id) => ({ undoneIn: [place('undone', id)] }));
    const unknown = 'restore-20260101-000000-00000000';
    const goes = [place('kept', finished), place('stage', rolledBack)];
    const stays = [place('kept', switched), place('stage', switched), place('undone', rolledBack)];
    for (const path of [...goes, ...stays, place('kept', unknown), join(data, '.stillpoint-notes'), join(data, 'mysql')])
      mkdirSync(path, { recursive: true });
    const found = await clean(await claim('clean'));
    expect(found.map(({ path, removed }) => [path, removed]).toSorted()).toEqual(
      [...goes.map((path) => [path, true]), [place('kept', unknown), false]].toSorted(),
    );
    expect(at(found, place('kept', unknown))?.staysBecause).toContain('only copy');
    expect(readdirSync(data).sort()).toEqual(
      ['mysql', '.stillpoint-notes', ...[...stays, place('kept', unknown)].map((path) => path.slice(data.length + 1))].toSorted(),
    );
  });
});
