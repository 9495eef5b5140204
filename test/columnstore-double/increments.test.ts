import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodePartManifest, type PartManifest, partDirectory } from '@stillpoint/shared/manifest';
import { DbrootStrategy, HoldPhase, PrecopyStorage, type TaskEnded, TaskState } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { claimed, done, publishOf, setManifest, verifyOf } from '../agent-core/backup.ts';
import { ATTEST, acquire, advance, RELEASE, talkAbout } from '../agent-core/hold-talk.ts';
import { type AgentClient, CLUSTER, NODE, set } from '../agent-core/node.ts';
import { engineTree, layOut } from './dbroot-tree.ts';
import { type GuardedNode, startGuardedNode } from './guarded-node.ts';

let node: GuardedNode;
let client: AgentClient;
let dbroot: string;
const mine: string[] = [];

beforeAll(async () => {
  node = await startGuardedNode();
  client = node.connect().client;
  dbroot = node.double.primary.dbroots[0]?.path ?? '';
  layOut(dbroot, engineTree({ first: false, columns: 8, segmentBytes: 2_000_000 }));
});
afterEach(async () => {
  for (const operationId of mine.splice(0)) await client.releaseNode({ operationId });
});
afterAll(() => node?.remove());

/** Takes a set as a controller would, as an increment of another one if that is named. */
async function take(parentSet: string, strategy: DbrootStrategy): Promise<{ setId: string; part: PartManifest }> {
  const operationId = await claimed(client);
  mine.push(operationId);
  const setId = set();
  const options = { parentSet, dbroots: [{ number: 1, strategy }] };
  const good = (ended: TaskEnded): void => expect(ended).toMatchObject({ state: TaskState.SUCCEEDED });
  const precopy = { task: { case: 'precopy', value: { setId, options, storage: PrecopyStorage.DBROOTS } } } as const;
  good(await done(client, operationId, precopy));
  const talk = talkAbout(client, acquire(operationId));
  await talk.hear('acquired');
  for (const phase of [HoldPhase.DRAIN, HoldPhase.SUSPEND, HoldPhase.FLUSH]) {
    talk.say(advance(phase));
    await talk.hear('advanced');
  }
  good(await done(client, operationId, { task: { case: 'capture', value: { setId, options } } }));
  talk.say(ATTEST);
  await talk.hear('attested');
  talk.say(RELEASE);
  await talk.hear('released');
  good(await done(client, operationId, publishOf(setId)));
  const { manifest } = await client.readPart({ setId });
  await client.commitSet({ operationId, setId, manifest: setManifest(operationId, setId, manifest) });
  expect(await done(client, operationId, verifyOf(setId))).toMatchObject({ result: { result: { value: { problems: [] } } } });
  expect(readdirSync(partDirectory(node.repository, CLUSTER, setId, NODE)).filter((name) => name.startsWith('.'))).toEqual([]);
  await client.releaseNode({ operationId });
  mine.length = 0;
  return { setId, part: decodePartManifest(manifest, 'part.json') };
}

test('server and dbroots are increments of the same set, whatever way they are taken', async () => {
  const full = await take('', DbrootStrategy.PRECOPY);
  const file = join(dbroot, 'versionbuffer.cdf');
  writeFileSync(file, readFileSync(file).fill(7, 0, 100));
  for (const strategy of [DbrootStrategy.PRECOPY, DbrootStrategy.LOCKED]) {
    const { part } = await take(full.setId, strategy);
    expect(part.mariadb?.chain).toEqual([
      { ...full.part.shards.find(({ content }) => content === 'mariadb-full'), set: full.setId, node: NODE },
    ]);
    const [then, now] = [full.part, part].map(({ columnstore }) => columnstore?.dbroots[0]);
    // What was changed, and what the engine itself writes to suspend.
    const stored = (now?.files ?? 0) - (now?.borrowed?.files ?? 0);
    expect(stored).toBeGreaterThan(0);
    expect(stored).toBeLessThan((then?.files ?? 0) / 2);
    expect((now?.dataBytes ?? 0) - (now?.borrowed?.dataBytes ?? 0)).toBeLessThan(statSync(file).size + 200_000);
  }
});
