import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RestorePlan } from '@stillpoint/controller';
import { EXIT } from '@stillpoint/shared/errors';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { mark, markers } from '../harness/data.ts';
import { expectRefusal } from '../harness/expect.ts';
import { replaceProgram } from '../harness/gates.ts';
import { canMount, fillDisk } from '../harness/small-disk.ts';

const mounts = canMount();
let cluster: TestCluster;
let setId: string;

beforeAll(async () => {
  cluster = await startCluster({ smallDisk: mounts ? { of: 'node', size: '700m' } : undefined });
  setId = (await cluster.ok('backup', 'create')).line<{ setId: string }>('backup').setId;
  await mark(cluster.primary.server, 'after');
});
beforeEach(async () => {
  await Promise.all(cluster.nodes.map(({ server }) => server.start()));
});
afterAll(() => cluster?.remove());

const plan = async (...args: string[]): Promise<RestorePlan> =>
  (await cluster.run('restore', 'plan', setId, ...args)).line<RestorePlan>('restore-plan');

it('touches nothing by planning', async () => {
  const before = listing();
  expect((await plan()).problems).toEqual([]);
  expect(listing()).toEqual(before);
});

it('does not replace a running server unless told to stop it', async () => {
  const { id } = await plan();
  const error = expectRefusal(await cluster.run('restore', 'run', id), 'SERVER_RUNNING');
  expect(error.hint).toContain('--stop-servers');
  expect(await markers(cluster.primary.server)).toEqual(['after']);
});

it('does not switch under a server that was started while it staged, and staging leaves that server in peace', async () => {
  const { id } = await plan();
  await Promise.all(cluster.nodes.map(({ server }) => server.stop()));
  const gate = cluster.node('db2').gate('mariadb-backup', '--prepare');
  const command = cluster.start('restore', 'run', id);
  await gate.reached();
  await Promise.all(cluster.nodes.map(({ server }) => server.start()));
  // What a query of the live server keeps in its tmpdir; a server that starts with the same tmpdir would remove it.
  const temporary = join(cluster.node('db2').server.directory, 'tmp/#sql-temptable-1-2-3.MAI');
  writeFileSync(temporary, '');
  gate.open();
  expectRefusal(await command.ended, 'SERVER_RUNNING');
  expect(existsSync(temporary)).toBe(true);
  expect(await markers(cluster.primary.server)).toEqual(['after']);
  const [last] = (await cluster.ok('restore', 'list')).all<{ operationId: string }>('restore-operation');
  await cluster.ok('restore', 'rollback', last?.operationId ?? '', '--yes');
});

it.skipIf(!mounts)('does not begin where the data would not fit', async () => {
  const ballast = join(cluster.node('db3').directory, 'ballast');
  fillDisk(ballast);
  const planned = await cluster.run('restore', 'plan', setId);
  const { id, problems } = planned.line<RestorePlan>('restore-plan');
  const run = await cluster.run('restore', 'run', id, '--stop-servers');
  rmSync(ballast);
  expect(planned.exitCode).toBe(EXIT.RESTORE_REFUSED);
  expect(problems.map(({ node }) => node)).toEqual(['db3']);
  expect(problems[0]?.message).toMatch(/free|space/i);
  expect(run.exitCode).not.toBe(0);
  expect(await markers(cluster.primary.server)).toEqual(['after']);
});

it('does not put data under a server of another series', async () => {
  const node = cluster.node('db2');
  await node.server.stop();
  // The real program, which lies about its age.
  const real = execFileSync('/bin/sh', ['-c', 'command -v mariadbd'], { encoding: 'utf8' }).trim();
  replaceProgram(node.programs, 'mariadbd', `${real} "$@" | sed 's/10\\.11\\.[0-9]*-MariaDB/10.6.3-MariaDB/g'\n`);
  const planned = await cluster.run('restore', 'plan', setId);
  rmSync(join(node.programs, 'mariadbd'));
  const { problems } = planned.line<RestorePlan>('restore-plan');
  expect(planned.exitCode).toBe(EXIT.RESTORE_REFUSED);
  expect(problems).toEqual([expect.objectContaining({ node: 'db2', message: expect.stringContaining('10.6.3') })]);
});

it('does not carry out a plan for a cluster that has changed since', async () => {
  const { id } = await plan();
  await cluster.ok('backup', 'create');
  await cluster.ok('backup', 'delete', setId, '--yes');
  const ended = await cluster.run('restore', 'run', id, '--stop-servers');
  expect(ended.exitCode).not.toBe(0);
  expect(await markers(cluster.primary.server)).toEqual(['after']);
  setId = (await cluster.ok('backup', 'create')).line<{ setId: string }>('backup').setId;
});

it('knows plans, sets and operations by their ids only', async () => {
  expectRefusal(await cluster.run('restore', 'run', 'plan-20200101-000000-00000000'), 'PLAN_NOT_FOUND');
  expectRefusal(await cluster.run('restore', 'plan', '20200101-000000-00000000'), 'SET_NOT_FOUND');
  expectRefusal(await cluster.run('restore', 'rollback', 'restore-20200101-000000-00000000', '--yes'), 'OPERATION_NOT_FOUND');
});

it('does not believe a manifest that points elsewhere', async () => {
  const node = cluster.node('db1');
  const file = join(node.repository, cluster.name, setId, 'db1', 'part.json');
  const text = execFileSync('cat', [file], { encoding: 'utf8' });
  writeFileSync(file, text.replaceAll('mariadb.full.mbstream.zst', '../../../../escape'));
  const planned = await cluster.run('restore', 'plan', setId);
  const run =
    planned.exitCode === 0 ? await cluster.run('restore', 'run', planned.line<RestorePlan>('restore-plan').id, '--stop-servers') : planned;
  writeFileSync(file, text);
  expect([EXIT.VERIFY_FAILED, EXIT.RESTORE_REFUSED]).toContain(run.exitCode);
  expect(await markers(cluster.primary.server)).toEqual(['after']);
});

/** Every name below the servers' directories, without what a running server makes and removes by itself. */
const listing = (): string =>
  cluster.nodes
    .map(({ directory }) => execFileSync('find', [join(directory, 'server'), '-maxdepth', '2', '-type', 'd'], { encoding: 'utf8' }))
    .join('');
