import { hostname } from 'node:os';
import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { ProveEngineTaskSchema } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { proveEngineTask } from '../../packages/agent/src/columnstore/prove/task.ts';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { stageTask } from '../../packages/agent/src/restore/index.ts';
import { writePartManifest } from '../agent-restore/parts.ts';
import { agentOf, type Rig, SET, stageSpec, startRig, takePart, taskOf } from '../agent-restore/rig.ts';
import { type Double, startDouble } from '../fixtures/columnstore/double.ts';

let rig: Rig;
let double: Double;
const path = process.env.PATH;
beforeAll(async () => {
  rig = await startRig({ node: 'pm1' });
  double = await startDouble({ addresses: [hostname()] });
  process.env.PATH = double.primary.env.PATH;
});
afterAll(async () => {
  process.env.PATH = path;
  await double?.stop();
  await rig?.server.remove();
});

/** The server beside an engine, as the agent of its node has them. */
function agentOfNode() {
  const { cluster, node, repository, stateDir, tls, mariadb } = rig.config;
  const { columnstore } = double.primary;
  return agentOf({ ...rig.config, ...agentConfigSchema.parse({ cluster, node, repository, stateDir, tls, mariadb, columnstore }) });
}

test('tables of the server image that are defined no more fail the proof, which would not look at them', async () => {
  const agent = agentOfNode();
  const place = { repository: rig.config.repository, cluster: 'shop', setId: SET, node: 'pm1' };
  const { part } = await takePart(rig);
  const reason = 'proven otherwise';
  const taken = writePartManifest(place, {
    ...part,
    unproven: [
      { database: 'shop', table: 'sales', reason, engine: 'Columnstore' },
      { database: 'shop', table: 'visits', reason, engine: 'InfiniDB' },
      { database: 'shop', table: 'sessions', reason: 'tables of engine MEMORY are not summed', engine: 'MEMORY' },
    ],
  });
  await stageTask.run(agent, stageSpec(taken), taskOf('restore-1'));

  const spec = create(ProveEngineTaskSchema, { timeout: durationFromMs(1) });
  await expect(proveEngineTask.run(agent, spec, taskOf('restore-1'))).rejects.toMatchObject({
    code: 'ENGINE_PROOF_FAILED',
    message: 'ColumnStore tables of the set are not defined on this server: shop.sales, shop.visits',
  });
  // Another operation has restored nothing here: there is nothing to compare with.
  await expect(proveEngineTask.run(agent, spec, taskOf('restore-2'))).rejects.toMatchObject({
    code: 'ENGINE_PROOF_FAILED',
    message: expect.stringContaining('cannot be read within'),
  });
});
