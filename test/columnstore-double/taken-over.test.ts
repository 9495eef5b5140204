import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { decodePartManifest, LAYOUT, type PartManifest, partDirectory } from '@stillpoint/shared/manifest';
import { DbrootStrategy, HoldPhase, LeftoverKind, PrecopyStorage, type TaskEnded, TaskState } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { claimed, done, endOf, publishOf, setManifest, verifyOf, watched } from '../agent-core/backup.ts';
import { ATTEST, acquire, advance, type HoldTalk, RELEASE, talkAbout } from '../agent-core/hold-talk.ts';
import { type AgentClient, CLUSTER, NODE, set } from '../agent-core/node.ts';
import { ageKey } from '../harness/age-key.ts';
import { eventually } from '../harness/eventually.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { canMount, fillDisk, mountSmallDisk } from '../harness/small-disk.ts';
import type { CaptureOptionsInit } from './captured-node.ts';
import { engineTree, layOut, segment } from './dbroot-tree.ts';
import { type GuardedNode, startGuardedNode } from './guarded-node.ts';
import { imagePicture, lockedPicture } from './precopied.ts';

let node: GuardedNode;
let client: AgentClient;
let dbroot: string;
const mine: string[] = [];

beforeAll(async () => {
  node = await startGuardedNode();
  dbroot = node.double.primary.dbroots[0]?.path ?? '';
  layOut(dbroot, engineTree({ first: false, columns: 8, segmentBytes: 2_000_000 }));
});
beforeEach(() => {
  client = node.connect().client;
});
afterEach(async () => {
  await node.process.start();
  client = node.connect().client;
  for (const operationId of mine.splice(0)) await client.releaseNode({ operationId });
});
afterAll(() => node?.remove());

const PRECOPY: CaptureOptionsInit = { dbroots: [{ number: 1, strategy: DbrootStrategy.PRECOPY }], compressionLevel: 1 };
const RECORD = '.dbroot1.precopied.json';
const CHANGED = 'bulkRollback/3001_data/3001.0.0';

const kept = (): string => join(node.repository, CLUSTER, `.precopied.${NODE}`);
const keptFiles = (): string[] => (existsSync(kept()) ? readdirSync(kept()).sort() : []);
const partOf = (setId: string): string => partDirectory(node.repository, CLUSTER, setId, NODE);
const setsLeft = (): string[] => readdirSync(join(node.repository, CLUSTER)).filter((name) => !name.startsWith('.'));
const good = (ended: TaskEnded): TaskEnded => {
  expect(ended).toMatchObject({ state: TaskState.SUCCEEDED });
  return ended;
};

interface Begun {
  readonly operationId: string;
  readonly setId: string;
  /** Bytes of files that the pass has read. */
  readonly bytes: number;
  /** What the operation's log says of it. */
  readonly notes: string;
}

/** A backup that has made its first pass before the still point. */
async function precopied(options = PRECOPY, ttlMs?: number): Promise<Begun> {
  const operationId = await claimed(client, 'backup', ttlMs);
  mine.push(operationId);
  const setId = set();
  const spec = { task: { case: 'precopy', value: { setId, options, storage: PrecopyStorage.DBROOTS } } } as const;
  await client.startTask({ operationId, taskId: 'precopy', spec });
  const events = await watched(client, operationId, 'precopy');
  const { result } = good(events.at(-1)?.value as TaskEnded).result ?? {};
  const notes = events.flatMap((event) => (event.case === 'log' ? [event.value.message] : [])).join('\n');
  return { operationId, setId, notes, bytes: result?.case === 'precopy' ? Number(result.value.bytes) : Number.NaN };
}

/** Its still point, up to the moment in which captures may begin. */
async function suspended({ operationId }: Begun): Promise<HoldTalk> {
  const talk = talkAbout(client, acquire(operationId));
  await talk.hear('acquired');
  for (const phase of [HoldPhase.DRAIN, HoldPhase.SUSPEND, HoldPhase.FLUSH]) {
    talk.say(advance(phase));
    await talk.hear('advanced');
  }
  return talk;
}

/** Brings it to its end, and shows that the set is what a locked copy would be, and that nothing else is left. */
async function completed(begun: Begun, options = PRECOPY): Promise<PartManifest> {
  const { operationId, setId } = begun;
  const talk = await suspended(begun);
  const expected = await lockedPicture(dbroot);
  good(await done(client, operationId, { task: { case: 'capture', value: { setId, options } } }));
  talk.say(ATTEST);
  await talk.hear('attested');
  talk.say(RELEASE);
  await talk.hear('released');
  good(await done(client, operationId, publishOf(setId)));
  const { manifest } = await client.readPart({ setId });
  await client.commitSet({ operationId, setId, manifest: setManifest(operationId, setId, manifest) });
  expect(await done(client, operationId, verifyOf(setId))).toMatchObject({ result: { result: { value: { problems: [] } } } });
  const part = decodePartManifest(manifest, 'part.json');
  const stored = [...part.shards.map(({ name }) => name), LAYOUT.partManifest, LAYOUT.started];
  expect(readdirSync(partOf(setId)).sort()).toEqual(stored.sort());
  const [captured] = part.columnstore?.dbroots ?? [];
  if (captured === undefined) throw new Error('no dbroot');
  // What is encrypted, or lies in another set, is proven by the verification alone.
  if (part.encryption === undefined && captured.borrowed === undefined) {
    expect(await imagePicture(partOf(setId), { dbroot: captured, shards: part.shards })).toEqual(expected);
  }
  await client.releaseNode({ operationId });
  mine.length = 0;
  expect(existsSync(kept())).toBe(false);
  return part;
}

/** The agent is killed and started again. */
async function killed(): Promise<void> {
  await node.process.kill('SIGKILL');
  await node.process.start();
  client = node.connect().client;
}

/** Digests of the shards that a record names. */
const recorded = (directory: string): { name: string; sha256: string }[] =>
  (JSON.parse(readFileSync(join(directory, RECORD), 'utf8')) as { shards: { name: string; sha256: string }[] }).shards.map(
    ({ name, sha256 }) => ({ name, sha256 }),
  );

/** That the next backup copies next to nothing, and uses what an earlier one had copied. */
async function usesWhat(earlier: Begun): Promise<void> {
  const shards = recorded(kept());
  const again = await precopied();
  expect(again.notes).toMatch(
    new RegExp(`^dbroot 1: [0-9.]+ MiB in \\d shards, copied by ${earlier.operationId} before it was interrupted, are used again$`, 'm'),
  );
  expect(again.bytes).toBeLessThan(earlier.bytes / 10);
  expect(existsSync(kept())).toBe(false);
  const part = await completed(again);
  expect(part.shards).toEqual(expect.arrayContaining(shards.map((shard) => expect.objectContaining(shard))));
}

describe('what was copied before the still point is used by the next backup', () => {
  test('when the agent was killed after a pass', async () => {
    const first = await precopied();
    writeFileSync(join(partOf(first.setId), 'dbroot1.base.7.tar.zst'), 'a shard that was being written');
    await killed();
    expect(keptFiles()).toEqual([RECORD, '.dbroot1.stored', ...recorded(kept()).map(({ name }) => name), LAYOUT.started].sort());
    expect(setsLeft()).not.toContain(first.setId);
    writeFileSync(join(dbroot, CHANGED), segment(6000, 99));
    await usesWhat(first);
  });

  test('when the agent was stopped', async () => {
    const first = await precopied();
    await node.process.kill('SIGTERM');
    expect(keptFiles()).toContain(RECORD);
    await node.process.start();
    client = node.connect().client;
    await usesWhat(first);
  });

  test('when it was killed inside the still point', async () => {
    const first = await precopied();
    const talk = await suspended(first);
    const gate = node.gate('mariadb-backup', '--backup');
    const { operationId, setId } = first;
    await client.startTask({ operationId, taskId: 'capture', spec: { task: { case: 'capture', value: { setId, options: PRECOPY } } } });
    await gate.reached();
    await killed();
    gate.open();
    await talk.end;
    expect(await endOf(client, operationId, 'capture')).toMatchObject({ state: TaskState.INTERRUPTED });
    expect(setsLeft()).not.toContain(setId);
    await usesWhat(first);
  });

  test('when it was killed after its part was published, before the set was committed', async () => {
    const first = await precopied();
    const talk = await suspended(first);
    const { operationId, setId } = first;
    good(await done(client, operationId, { task: { case: 'capture', value: { setId, options: PRECOPY } } }));
    talk.say(RELEASE);
    await talk.hear('released');
    good(await done(client, operationId, publishOf(setId)));
    await killed();
    expect(setsLeft()).not.toContain(setId);
    await usesWhat(first);
  });

  test('when its controller was gone', async () => {
    const first = await precopied(PRECOPY, 10_000);
    await eventually(() => existsSync(kept()));
    await eventually(async () => (await client.describeNode({})).facts?.claim === undefined);
    await usesWhat(first);
  });

  test('when its controller was gone inside the still point', async () => {
    const first = await precopied(PRECOPY, 20_000);
    const talk = await suspended(first);
    const gate = node.gate('mariadb-backup', '--backup');
    const { operationId, setId } = first;
    await client.startTask({ operationId, taskId: 'capture', spec: { task: { case: 'capture', value: { setId, options: PRECOPY } } } });
    await gate.reached();
    talk.breakOff();
    gate.open();
    await eventually(async () => (await client.describeNode({})).facts?.claim === undefined);
    await usesWhat(first);
  });

  test('also after another crash, in the middle of taking it over', async () => {
    const first = await precopied();
    await killed();
    const operationId = await claimed(client);
    mine.push(operationId);
    const setId = set();
    // Slow enough to be met at it.
    const value = { setId, options: { ...PRECOPY, throttle: 100_000n }, storage: PrecopyStorage.DBROOTS };
    await client.startTask({ operationId, taskId: 'precopy', spec: { task: { case: 'precopy', value } } });
    await eventually(() => existsSync(join(partOf(setId), RECORD)));
    expect(existsSync(kept())).toBe(false);
    await killed();
    expect(keptFiles()).toContain(RECORD);
    await usesWhat(first);
  });

  test('when the operation was broken off; given back otherwise, nothing is left', async () => {
    for (const brokenOff of [true, false]) {
      const first = await precopied();
      await client.releaseNode({ operationId: first.operationId, brokenOff });
      expect(existsSync(kept())).toBe(brokenOff);
      expect(setsLeft()).not.toContain(first.setId);
      if (brokenOff) await usesWhat(first);
    }
  });
});

describe('what was copied is not used, and removed with a word on why', () => {
  const edited = (change: Readonly<Record<string, unknown>>): void => {
    const record = JSON.parse(readFileSync(join(kept(), RECORD), 'utf8')) as Record<string, unknown>;
    writeFileSync(join(kept(), RECORD), JSON.stringify({ ...record, ...change }));
  };
  const flipped = (name: string): void => {
    const data = readFileSync(join(kept(), name));
    data[data.length >> 1] = (data[data.length >> 1] ?? 0) ^ 1;
    writeFileSync(join(kept(), name), data);
  };
  const key = () => ageKey(testDirectory('taken-over')).recipient;

  test.each<[string, RegExp, () => void, (() => CaptureOptionsInit)?]>([
    ['when a shard is damaged', /dbroot1\.base\.0\.tar\.zst is damaged/, () => flipped('dbroot1.base.0.tar.zst')],
    ['when its lines are damaged', /what it has written down of them is damaged/, () => flipped('.dbroot1.stored')],
    ['after a start of the host', /the host was started anew since/, () => edited({ bootId: 'another' })],
    ['when the dbroot is another directory', /is another directory now/, () => edited({ inode: '1' })],
    ['at another level', /it is compressed at level 1, and level 2/, () => {}, () => ({ ...PRECOPY, compressionLevel: 2 })],
    ['for other recipients', /it is encrypted for nobody, and age1/, () => {}, () => ({ ...PRECOPY, recipients: [key()] })],
    ['of a dbroot that is taken otherwise', /is not copied before the still point now/, () => {}, () => ({ compressionLevel: 1 })],
  ])('%s', async (_when, why, change, options = () => PRECOPY) => {
    const first = await precopied();
    await killed();
    change();
    const chosen = options();
    const again = await precopied(chosen);
    expect(again.notes).toMatch(
      new RegExp(`^dbroot 1: what ${first.operationId} had copied .* is not used, and was removed: .*${why.source}`, 'm'),
    );
    if (chosen.dbroots !== undefined) expect(again.bytes).toBeGreaterThan(first.bytes * 0.9);
    expect(existsSync(kept())).toBe(false);
    await client.releaseNode({ operationId: again.operationId });
    expect(setsLeft()).not.toContain(again.setId);
  });

  test('when a file of it is damaged: then all is copied again, and the set is good', async () => {
    await precopied();
    await killed();
    flipped('dbroot1.base.0.tar.zst');
    await completed(await precopied());
  });

  test('when the disk is full', async ({ skip }) => {
    skip(!canMount(), 'this process cannot mount file systems');
    const disk = join(node.repository, CLUSTER);
    mountSmallDisk(disk, '60m');
    try {
      await precopied();
      await killed();
      expect(keptFiles()).toContain(RECORD);
      fillDisk(join(disk, 'full'));
      const operationId = await claimed(client);
      mine.push(operationId);
      const value = { setId: set(), options: PRECOPY, storage: PrecopyStorage.DBROOTS };
      const ended = await done(client, operationId, { task: { case: 'precopy', value } });
      expect(ended.error).toMatchObject({ code: 'DISK_FULL' });
      await client.releaseNode({ operationId, brokenOff: true });
      expect(readdirSync(disk)).toEqual(['full']);
    } finally {
      execFileSync('umount', [disk]);
    }
  });

  test('when the next backup copies nothing before its still point, by its end', async () => {
    await precopied();
    await killed();
    const operationId = await claimed(client);
    mine.push(operationId);
    await completed({ operationId, setId: set(), bytes: 0, notes: '' }, {});
  });

  test('by those who clean, when they are asked to', async () => {
    const first = await precopied();
    await killed();
    const clean = (operationId: string) => Array.fromAsync(client.cleanNode({ operationId, olderThan: durationFromMs(0), committed: [] }));
    const found = { kind: LeftoverKind.PRECOPIED, path: kept(), staysBecause: '', reason: expect.stringContaining(first.operationId) };
    expect(await clean('')).toEqual([expect.objectContaining({ ...found, removed: false })]);
    expect(keptFiles()).toContain(RECORD);
    const operationId = await claimed(client, 'clean');
    mine.push(operationId);
    expect(await clean(operationId)).toEqual([expect.objectContaining({ ...found, removed: true })]);
    expect(existsSync(kept())).toBe(false);
  });
});

test('an encrypted part is gone on with as well', async () => {
  const options = { ...PRECOPY, recipients: [ageKey(testDirectory('taken-over')).recipient] };
  const first = await precopied(options);
  await killed();
  const shards = recorded(kept());
  const again = await precopied(options);
  expect(again.bytes).toBeLessThan(first.bytes / 10);
  const part = await completed(again, options);
  expect(part.shards).toEqual(expect.arrayContaining(shards.map((shard) => expect.objectContaining(shard))));
});

test('an increment goes on with what was copied for an increment of the same set, and of no other', async () => {
  const parent = await precopied();
  await completed(parent);
  const options = { ...PRECOPY, parentSet: parent.setId };
  layOut(join(dbroot, '001.dir'), engineTree({ first: false, columns: 3, segmentBytes: 1_000_000 }));
  const first = await precopied(options);
  expect(first.bytes).toBeLessThan(parent.bytes / 2);
  await killed();
  const shards = recorded(kept());
  const again = await precopied(options);
  expect(again.notes).toContain('are used again');
  expect(again.bytes).toBeLessThan(first.bytes / 10);
  const part = await completed(again, options);
  expect(part.shards).toEqual(expect.arrayContaining(shards.map((shard) => expect.objectContaining(shard))));
  expect(part.columnstore?.dbroots[0]?.borrowed?.files).toBeGreaterThan(20);
  layOut(join(dbroot, '002.dir'), engineTree({ first: false, columns: 3, segmentBytes: 1_000_000 }));
  await precopied(options);
  await killed();
  const full = await precopied();
  expect(full.notes).toContain(`it goes with an increment of set ${parent.setId}, and a full set is asked for`);
  expect(full.bytes).toBeGreaterThan(parent.bytes);
});
