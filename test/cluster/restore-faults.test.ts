import type { RestorePlan, RestoreReport, RestoreSummary } from '@stillpoint/controller';
import { EXIT } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Command } from '../harness/cli.ts';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { mark, markers, replicationProblem } from '../harness/data.ts';
import { expectNextBackupWorks, whenFree } from '../harness/expect.ts';

let cluster: TestCluster;
let setId: string;

beforeAll(async () => {
  cluster = await startCluster();
  await mark(cluster.primary.server, 'before');
  setId = (await cluster.ok('backup', 'create')).line<{ setId: string }>('backup').setId;
  await mark(cluster.primary.server, 'live');
  await cluster.caughtUp();
});
afterEach(() => cluster?.openGates());
afterAll(() => cluster?.remove());

/** Starts a restore over the live data. */
async function startRestore(): Promise<Command> {
  const { id } = (await cluster.ok('restore', 'plan', setId, '--replication', 'start')).line<RestorePlan>('restore-plan');
  return cluster.start('restore', 'run', id, '--stop-servers');
}

/** Starts one, and gives it when a phase has begun. Staging is held open where mariadb-backup prepares db2's image. */
async function restoreIn(phase: string): Promise<{ command: Command; goOn: () => void }> {
  const gate = phase === 'stage' ? cluster.node('db2').gate('mariadb-backup', '--prepare') : undefined;
  const command = await startRestore();
  await command.until((line) => line.type === 'phase' && line.phase === phase);
  await gate?.reached();
  return { command, goOn: () => gate?.open() };
}

const lastRestore = async (): Promise<RestoreSummary> => {
  const [last] = (await cluster.ok('restore', 'list')).all<RestoreSummary>('restore-operation');
  if (last === undefined) throw new Error('no restore is known');
  return last;
};

/** The restored cluster: rows of the cut only, and replication. */
async function expectRestored(): Promise<void> {
  await cluster.caughtUp();
  for (const { server } of cluster.nodes) expect(await markers(server)).toEqual(['before']);
  for (const { server } of cluster.replicas) expect(await replicationProblem(server)).toBeUndefined();
}

/** The cluster as it was before the restore. */
async function expectOld(): Promise<void> {
  for (const { server } of cluster.nodes) expect(await markers(server)).toEqual(['before', 'live']);
  await cluster.caughtUp();
  for (const { server } of cluster.replicas) expect(await replicationProblem(server)).toBeUndefined();
}

const PHASES = ['stage', 'stop', 'switch', 'start', 'replicate'];

describe.each(PHASES)('a controller that is killed during %s of a restore', (phase) => {
  it('leaves a journal that resume completes, and what resume completed can still be rolled back', async () => {
    const { command, goOn } = await restoreIn(phase);
    command.kill('SIGKILL');
    await command.ended;
    goOn();
    const { operationId, state } = await lastRestore();
    expect(state).toBe('interrupted');
    const resumed = await whenFree(cluster, 'restore', 'resume', operationId, '--stop-servers');
    expect(resumed.line<RestoreReport>('restore').state).toBe('switched');
    await expectRestored();
    await cluster.ok('restore', 'rollback', operationId, '--yes');
    await expectOld();
  });
});

describe.each(['stage', 'switch', 'start'])('a controller that is killed during %s of a restore', (phase) => {
  it('leaves a journal that rollback undoes', async () => {
    const { command, goOn } = await restoreIn(phase);
    command.kill('SIGKILL');
    await command.ended;
    goOn();
    const { operationId } = await lastRestore();
    await whenFree(cluster, 'restore', 'rollback', operationId, '--yes');
    await expectOld();
  });
});

describe.each(['stage', 'switch', 'start-replicas'])('an agent that is killed during %s of a restore', (phase) => {
  it('leaves a journal that resume completes', async () => {
    const node = cluster.node('db2');
    const { command, goOn } = await restoreIn(phase);
    await node.agent.kill('SIGKILL');
    goOn();
    await node.agent.start();
    const ended = await command.ended;
    const { operationId } = await lastRestore();
    // The kill may have come too late to matter; then there is nothing to resume.
    if (ended.exitCode !== 0) await whenFree(cluster, 'restore', 'resume', operationId, '--stop-servers');
    await expectRestored();
    await cluster.ok('restore', 'rollback', operationId, '--yes');
    await expectOld();
  });
});

describe('SIGINT while a restore stages', () => {
  it('leaves the old cluster as it was', async () => {
    const { command, goOn } = await restoreIn('stage');
    command.kill('SIGINT');
    const ended = await command.ended;
    goOn();
    expect(ended.exitCode).toBe(EXIT.INTERRUPTED);
    const { operationId } = await lastRestore();
    await whenFree(cluster, 'restore', 'rollback', operationId, '--yes');
    await expectOld();
  });
});

it('afterwards the next backup works', async () => {
  await expectNextBackupWorks(cluster);
});
