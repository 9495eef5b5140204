import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodePartManifest, type PartManifest, partDirectory, sha256Of } from '@stillpoint/shared/manifest';
import { DbrootStrategy, HoldPhase, PrecopyStorage, type TaskEnded, TaskState } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { claimed, done, publishOf, setManifest, verifyOf } from '../agent-core/backup.ts';
import { ATTEST, acquire, advance, RELEASE, talkAbout } from '../agent-core/hold-talk.ts';
import { type AgentClient, CLUSTER, NODE, set } from '../agent-core/node.ts';
import { picture } from '../agent-restore/engine-rig.ts';
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

/** A set, and what its dbroot was at the cut. */
interface Taken {
  readonly setId: string;
  readonly part: PartManifest;
  readonly partSha256: string;
  readonly cut: Record<string, string>;
}

/** Takes a set as a controller would, as an increment of another one if that is named; `between` is done after the copy before the still point. */
async function take(parentSet: string, strategy: DbrootStrategy, between = (): void => {}): Promise<Taken> {
  const operationId = await claimed(client);
  mine.push(operationId);
  const setId = set();
  const options = { parentSet, dbroots: [{ number: 1, strategy }] };
  const good = ({ error, state }: TaskEnded): void => {
    if (state !== TaskState.SUCCEEDED) throw new Error(error?.message);
  };
  const precopy = { task: { case: 'precopy', value: { setId, options, storage: PrecopyStorage.DBROOTS } } } as const;
  good(await done(client, operationId, precopy));
  between();
  const talk = talkAbout(client, acquire(operationId));
  await talk.hear('acquired');
  for (const phase of [HoldPhase.DRAIN, HoldPhase.SUSPEND, HoldPhase.FLUSH]) {
    talk.say(advance(phase));
    await talk.hear('advanced');
  }
  const cut = picture(dbroot);
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
  return { setId, part: decodePartManifest(manifest, 'part.json'), partSha256: sha256Of(manifest), cut };
}

/** What the stage of a restore of a set makes of its dbroot. */
async function staged({ setId, partSha256 }: Taken): Promise<Record<string, string>> {
  const operationId = await claimed(client, 'restore');
  mine.push(operationId);
  const dbroots = [{ number: 1, node: NODE, partSha256 }];
  const value = { setId, sourceNode: NODE, partSha256, columnstore: true, dbroots };
  expect(await done(client, operationId, { task: { case: 'stage', value } })).toMatchObject({ state: TaskState.SUCCEEDED });
  const found = picture(join(dbroot, '..', `.stillpoint-stage-${operationId}-dbroot1`));
  expect(await done(client, operationId, { task: { case: 'rollback', value: {} } })).toMatchObject({ state: TaskState.SUCCEEDED });
  await client.releaseNode({ operationId });
  mine.length = 0;
  return found;
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
    const { shards = [] } = part.columnstore?.dbroots[0] ?? {};
    expect(shards.includes('dbroot1.delta.tar.zst')).toBe(strategy === DbrootStrategy.PRECOPY);
    const [then, now] = [full.part, part].map(({ columnstore }) => columnstore?.dbroots[0]);
    // What was changed, and what the engine itself writes to suspend.
    const stored = (now?.files ?? 0) - (now?.borrowed?.files ?? 0);
    expect(stored).toBeGreaterThan(0);
    expect(stored).toBeLessThan((then?.files ?? 0) / 2);
    expect((now?.dataBytes ?? 0) - (now?.borrowed?.dataBytes ?? 0)).toBeLessThan(statSync(file).size + 200_000);
  }
});

test('a chain of them that was copied before the still point is restored to exactly its cuts', { timeout: 120_000 }, async () => {
  const write = (name: string, content: string): void => writeFileSync(join(dbroot, name), content);
  const chain = [await take('', DbrootStrategy.PRECOPY)];
  for (const [index, strategy] of [DbrootStrategy.PRECOPY, DbrootStrategy.PRECOPY, DbrootStrategy.LOCKED].entries()) {
    const file = join(dbroot, 'versionbuffer.cdf');
    writeFileSync(file, readFileSync(file).fill(index + 1, 5000, 5100));
    write(`bulkRollback/before-${index}`, 'before');
    const between = (): void => {
      write(`bulkRollback/between-${index}`, 'between');
      write('bulkRollback/before-0', `changed by ${index}`);
      rmSync(join(dbroot, `bulkRollback/between-${index - 1}`), { force: true });
    };
    chain.push(await take(chain.at(-1)?.setId ?? '', strategy, between));
  }
  expect(chain.map(({ part }) => part.columnstore?.dbroots[0]?.borrowed === undefined)).toEqual([true, false, false, false]);
  for (const taken of chain) expect(await staged(taken)).toEqual(taken.cut);
});

test('no part is published whose files in another set somebody has removed meanwhile', async () => {
  const full = await take('', DbrootStrategy.PRECOPY);
  const place = join(node.repository, CLUSTER, full.setId);
  const taken = take(full.setId, DbrootStrategy.PRECOPY, () => rmSync(place, { recursive: true }));
  await expect(taken).rejects.toThrow(
    /^dbroot1\.base\.\d+\.tar\.zst of db1 in set .*, of which this set is made as an increment, is missing or damaged$/,
  );
  expect(readdirSync(join(node.repository, CLUSTER))).not.toContain(full.setId);
});
