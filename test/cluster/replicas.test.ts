import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RestorePlan, RestoreReport } from '@stillpoint/controller';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runStillpoint, stillpointOk } from '../harness/cli.ts';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { mark, markers, replicationProblem, shopChecksums, wipe } from '../harness/data.ts';
import { eventually } from '../harness/eventually.ts';

/** Replicas made from a set while the primary goes on: db3 is in no set, db2 has lost its data. */
describe('a replica from a backup', () => {
  let cluster: TestCluster;
  let withoutDb3: string;

  beforeAll(async () => {
    cluster = await startCluster({ mebibytes: 8 });
    withoutDb3 = join(cluster.directory, 'two-nodes.yaml');
    const config = JSON.parse(readFileSync(cluster.configFile, 'utf8')) as { nodes: { name: string }[] };
    writeFileSync(withoutDb3, JSON.stringify({ ...config, nodes: config.nodes.filter(({ name }) => name !== 'db3') }));
    await stillpointOk(['backup', 'create', '--config', withoutDb3]);
    await mark(cluster.primary.server, 'after the backup');
  });
  afterAll(() => cluster?.remove());

  const restore = async (node: string): Promise<{ plan: RestorePlan; report: RestoreReport }> => {
    const plan = (await cluster.ok('restore', 'plan', 'latest', '--node', node, '--replication', 'start')).line<RestorePlan>(
      'restore-plan',
    );
    return { plan, report: (await cluster.ok('restore', 'run', plan.id)).line<RestoreReport>('restore') };
  };
  const follows = (name: string) =>
    eventually(async () => {
      const { server } = cluster.node(name);
      const problem = await replicationProblem(server);
      if (problem !== undefined) throw new Error(problem);
      return (await markers(server)).includes('after the backup');
    });

  it('may be a node that the set does not know: it is seeded from the primary and follows it', async () => {
    await wipe([cluster.node('db3').server]);
    const { plan, report } = await restore('db3');
    expect(plan.nodes).toMatchObject([{ node: 'db3', image: 'db1', replicateFrom: { node: 'db1' } }]);
    expect(report.state).toBe('switched');
    await follows('db3');
    expect(await shopChecksums(cluster.node('db3').server)).toEqual(await shopChecksums(cluster.primary.server));
    await cluster.ok('restore', 'finish', report.operationId, '--yes');
  });

  it('may be one that lost its data: its own part will do, since the primary still has what came later', async () => {
    await wipe([cluster.node('db2').server]);
    const { plan, report } = await restore('db2');
    expect(plan.nodes).toMatchObject([{ node: 'db2', image: 'db2' }]);
    await follows('db2');
    expect(await shopChecksums(cluster.node('db2').server)).toEqual(await shopChecksums(cluster.primary.server));
    await cluster.ok('restore', 'finish', report.operationId, '--yes');
  });

  it('is backed up with the others from then on', async () => {
    const made = await runStillpoint(['backup', 'create', '--config', cluster.configFile]);
    expect(made.exitCode).toBe(0);
    expect(made.line<{ set: { members: unknown[] } }>('backup').set.members).toHaveLength(3);
  });
});
