import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { borrowedOf, sha256Of } from '@stillpoint/shared/manifest';
import { RollbackTaskSchema } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lockedDbroot } from '../../packages/agent/src/capture/columnstore/locked-dbroot.ts';
import { DbrootPrecopy, type DbrootToCapture } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { readBootId } from '../../packages/agent/src/host/index.ts';
import { openRepository, verifyPart } from '../../packages/agent/src/repository/index.ts';
import { rollbackTask, stageTask } from '../../packages/agent/src/restore/index.ts';
import { createTickets, fetchShard } from '../../packages/agent/src/seed/index.ts';
import { ageKey } from '../harness/age-key.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { type EngineRig, engineRig, engineStage, fillDbroot, picture } from './engine-rig.ts';
import { emptied, type TakenIncrement, type Taking, takeIncrement } from './increment-rig.ts';
import { taskOf } from './rig.ts';

const DBROOTS = [[1], [2]] as const;
const COLUMN = '000.dir/000.dir/011.dir/184.dir/000.dir';
const SETS = ['20261121-090000-aaaaaaaa', '20261121-100000-bbbbbbbb', '20261121-110000-cccccccc', '20261121-120000-dddddddd'] as const;
const NEXT = '20261121-130000-eeeeeeee';

let rig: EngineRig;
let target: EngineRig;
const inRoot = (...names: string[]): string => join(rig.dbroot(2), ...names);
let strategy: Taking['strategy'];
const take = (setId: string, parentSet = '', more: Partial<Taking> = {}): Promise<TakenIncrement> =>
  takeIncrement(rig, 2, { setId, parentSet, strategy, ...more });
const verify = async ({ part }: TakenIncrement): Promise<readonly string[]> =>
  (await verifyPart(openRepository(rig.config), part.setId, 'pm2', taskOf('v'))).problems;

/** What the stage of a restore of a part holds. */
async function restored(taken: TakenIncrement): Promise<Record<string, string>> {
  const operation = `restore-${taken.part.setId}`;
  const spec = { ...engineStage(taken), setId: taken.part.setId };
  await stageTask.run(target.agent, spec, taskOf(operation));
  const found = picture(join(target.data, `.stillpoint-stage-${operation}-dbroot2`));
  await rollbackTask.run(target.agent, create(RollbackTaskSchema), taskOf(operation));
  return found;
}

/** Writes into a file, in place or anew, as long after its last change as an engine does. */
function write(name: string, content: string | Buffer, seconds: number): void {
  writeFileSync(inRoot(name), content);
  utimesSync(inRoot(name), 1_700_001_000 + seconds, 1_700_001_000 + seconds);
}

/** How dbroots are taken. */
const STRATEGIES = [
  ['locked', lockedDbroot],
  ['precopy', (dbroot: DbrootToCapture) => DbrootPrecopy.begin(dbroot)],
] as const;

beforeEach(async () => {
  strategy = undefined;
  rig = engineRig(2, DBROOTS);
  target = emptied(rig, engineRig(2, DBROOTS), [2]);
  fillDbroot(rig.dbroot(2), 2, 'first');
  // Stamps that are too fresh prove nothing, and these are made now.
  await new Promise((resolve) => setTimeout(resolve, 100));
});
afterEach(() => {
  for (const each of [rig, target]) rmSync(each.home, { recursive: true });
});

describe.each(STRATEGIES)('a chain of increments, %s,', (_name, begin) => {
  let chain: TakenIncrement[];
  let cuts: Record<string, string>[];
  beforeEach(async () => {
    strategy = begin;
    chain = [];
    cuts = [];
    const cut = async (parent?: string): Promise<void> => {
      cuts.push(picture(rig.dbroot(2)));
      chain.push(await take(SETS[chain.length] ?? '', parent));
    };
    await cut();
    // A change in place, which leaves the size; a new file; one that is gone; one by another name.
    const large = readFileSync(inRoot(COLUMN, 'FILE000.cdf')).fill('x', 1_000_000, 1_000_100);
    write(join(COLUMN, 'FILE000.cdf'), large, 1);
    write('001.dir/NEW.cdf', 'new', 1);
    rmSync(inRoot('001.dir/FILE7.cdf'));
    renameSync(inRoot('001.dir/FILE8.cdf'), inRoot('001.dir/FILE8.moved.cdf'));
    await cut(SETS[0]);
    write('001.dir/FILE9.cdf', 'another', 2);
    write('001.dir/NEW.cdf', 'NEW', 2);
    chmodSync(inRoot('001.dir/FILE10.cdf'), 0o600);
    await cut(SETS[1]);
    rmSync(inRoot('001.dir/NEW.cdf'));
    write('001.dir/FILE7.cdf', 'back again', 3);
    await cut(SETS[2]);
  });

  test('stores what has changed, and refers to the sets in which the rest lies', () => {
    const [full, ...increments] = chain;
    expect(full?.dbroot.borrowed).toBeUndefined();
    expect(full?.dbroot.files).toBe(305);
    for (const { dbroot, notes } of increments) {
      expect(notes).toEqual([]);
      expect(dbroot.borrowed?.files).toBeGreaterThan(295);
    }
    expect(chain.map(({ dbroot: { borrowed, files } }) => files - (borrowed?.files ?? 0))).toEqual([305, 3, 2, 1]);
    // Never a chain: what lies in the first set is borrowed of that, also by the last.
    const sets = increments.map(({ part }) => [...new Set(borrowedOf(part).map(({ set }) => set))]);
    expect(sets).toEqual([[SETS[0]], [SETS[0], SETS[1]], [SETS[0], SETS[1], SETS[2]]]);
    expect((increments.at(-1)?.storedBytes ?? 0) - listBytes(increments.at(-1))).toBeLessThan(2000);
  });

  test('every set of it is verified and restores to its cut', async () => {
    for (const [index, taken] of chain.entries()) {
      expect(await verify(taken), SETS[index]).toEqual([]);
      expect(await restored(taken), SETS[index]).toEqual(cuts[index]);
    }
  });

  test('a set that others use is not deleted before them', async () => {
    const repository = openRepository(rig.config);
    for (const setId of SETS.slice(0, 3)) await expect(repository.deletePart(setId)).rejects.toMatchObject({ code: 'SET_NEEDED' });
    for (const setId of SETS.toReversed()) expect(await repository.deletePart(setId)).toBeGreaterThan(0);
  });

  test('another node is given what it uses against the ticket for it, and nothing else of those sets', async () => {
    const { part } = chain.at(-1) as TakenIncrement;
    const tickets = createTickets(systemClock);
    const seed = { repository: openRepository(rig.config), tickets, node: 'pm2', brm: () => Promise.reject(new Error('no engine')) };
    const { ticket } = tickets.grant('restore-1', part.setId, 60_000);
    const fetch = (shard: string, borrowedSet: string) =>
      Array.fromAsync(fetchShard(seed, { ticket, shard, borrowedSet, borrowedNode: 'pm2' }, new AbortController().signal));
    for (const { name, set, sha256 } of borrowedOf(part))
      expect(sha256Of(Buffer.concat((await fetch(name, set)).map(({ data }) => data)))).toBe(sha256);
    await expect(fetch('dbroot2.files.jsonl.zst', SETS[0])).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
    await expect(fetch('dbroot2.base.0.tar.zst', part.setId)).rejects.toMatchObject({ code: 'TICKET_REFUSED' });
  });

  test.runIf(process.getuid?.() === 0)('every set of it is unpacked by hand with the commands that lie beside it', () => {
    for (const [index, { part }] of chain.entries()) {
      const text = readFileSync(join(rig.config.repository, 'shop', part.setId, 'HOW-TO-RESTORE.txt'), 'utf8');
      const place = join(rig.home, `by-hand-${index}`);
      const untilStopped = text.slice(0, text.search(/^# \d+\. Only when ALL nodes/m));
      const commands = untilStopped.replace(/^DBROOT2=.*$/m, `DBROOT2=${place}`);
      expect(commands).toContain('.coming');
      const script = join(rig.home, 'by-hand.sh');
      writeFileSync(script, `set -eo pipefail\n${commands}\n`);
      execFileSync('bash', [script], { stdio: ['ignore', 'ignore', 'pipe'] });
      // Modes and times are those of the set that stored a file, as far as they changed without it.
      expect(contentsOf(picture(`${place}.coming`)), part.setId).toEqual(contentsOf(cuts[index] ?? {}));
    }
  });

  test('damage in a set that it uses is found, and no restore is made of it', async () => {
    const [full, , , last] = chain as [TakenIncrement, TakenIncrement, TakenIncrement, TakenIncrement];
    const name = last.dbroot.borrowed?.shards.find(({ set }) => set === SETS[0])?.name ?? '';
    const path = join(full.directory, name);
    const data = readFileSync(path);
    data.writeUInt8(data.readUInt8(data.length >> 1) ^ 1, data.length >> 1);
    writeFileSync(path, data);
    expect((await verify(last)).join()).toMatch(new RegExp(`${name} of set ${SETS[0]} `));
    await expect(restored(last)).rejects.toMatchObject({ code: 'PART_CORRUPT' });
    rmSync(path);
    expect(await verify(last)).toEqual([`${name} of set ${SETS[0]}, which this one uses, is missing`]);
    await expect(restored(last)).rejects.toMatchObject({ code: 'PART_CORRUPT' });
    expect(readdirSync(target.data)).toEqual(['data2', 'local']);
    // Nobody refers to it any more, either.
    const next = await take(NEXT, SETS[3]);
    expect(next.notes).toEqual([`dbroot 2 is taken in full: ${name} of pm2 in set ${SETS[0]} is missing or damaged`]);
    expect(next.dbroot.borrowed).toBeUndefined();
    expect(await restored(next)).toEqual(cuts[3]);
  });

  test('a damaged list of the parent is no reason to make no backup', async () => {
    const last = chain.at(-1) as TakenIncrement;
    const path = join(last.directory, last.dbroot.list);
    const data = readFileSync(path);
    data.writeUInt8(data.readUInt8(data.length >> 1) ^ 1, data.length >> 1);
    writeFileSync(path, data);
    const next = await take(NEXT, SETS[3]);
    expect(next.notes).toEqual([expect.stringMatching(/^dbroot 2 is taken in full: dbroot2\.files\.jsonl\.zst of set \S+ is damaged/)]);
    expect(next.dbroot.borrowed).toBeUndefined();
    expect(await restored(next)).toEqual(cuts[3]);
  });
});

const contentsOf = (seen: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(seen).map(([path, line]) => [path, line.split(' ').at(-1) ?? '']));

const listBytes = (taken: TakenIncrement | undefined): number =>
  taken?.part.shards.find(({ content }) => content === 'dbroot-files')?.storedBytes ?? 0;

describe.each(STRATEGIES)('what stamps do not tell, %s,', (_name, begin) => {
  beforeEach(() => {
    strategy = begin;
  });

  test('after a restore files are read before the still point, and nothing of them is stored again', async () => {
    const full = await take(SETS[0]);
    // Other places on disk, and times that are not exact.
    const spec = { ...engineStage(full), setId: SETS[0] };
    await stageTask.run(rig.agent, spec, taskOf('restore'));
    rmSync(rig.dbroot(2), { recursive: true });
    renameSync(join(rig.data, '.stillpoint-stage-restore-dbroot2'), rig.dbroot(2));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const cut = picture(rig.dbroot(2));
    const next = await take(SETS[1], SETS[0]);
    expect(next.dbroot.borrowed).toMatchObject({ files: 305, dataBytes: full.dbroot.dataBytes });
    expect(next.read).toEqual({ before: full.dbroot.dataBytes, inside: 0 });
    expect(await restored(next)).toEqual(cut);
    // And the set after that need not read them again.
    const third = await take(SETS[2], SETS[1]);
    expect(third.read).toEqual({ before: 0, inside: 0 });
    expect(await restored(third)).toEqual(cut);
  });

  test('after another start of the host files are read before the still point, and those that are the same are not stored again', async () => {
    const full = await take(SETS[0]);
    expect(full.dbroot.bootId).toBe(await readBootId());
    asOfAnotherBoot(full);
    // As a crash may leave it: another content under the stamp that the file had.
    const file = statSync(inRoot(COLUMN, 'FILE001.cdf'));
    writeFileSync(inRoot(COLUMN, 'FILE001.cdf'), Buffer.alloc(file.size, 'o'));
    utimesSync(inRoot(COLUMN, 'FILE001.cdf'), file.atime, file.mtime);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const next = await take(SETS[1], SETS[0]);
    expect(next.notes).toEqual([expect.stringMatching(/^dbroot 2: the host was started since set \S+ was made/)]);
    expect(next.dbroot.borrowed).toMatchObject({ files: 304, dataBytes: full.dbroot.dataBytes - file.size });
    expect(next.read.before).toBeGreaterThanOrEqual(full.dbroot.dataBytes);
    expect(await verify(next)).toEqual([]);
    expect(await restored(next)).toEqual(picture(rig.dbroot(2)));
    expect((await take(SETS[2], SETS[1])).read).toEqual({ before: 0, inside: 0 });
  });

  test('a change without another time is seen by its other stamps', async () => {
    const before = statSync(inRoot(COLUMN, 'FILE001.cdf'));
    await take(SETS[0]);
    const changed = readFileSync(inRoot(COLUMN, 'FILE001.cdf'), 'utf8').replace('second', 'SECOND');
    writeFileSync(inRoot(COLUMN, 'FILE001.cdf'), changed);
    utimesSync(inRoot(COLUMN, 'FILE001.cdf'), before.atime, before.mtime);
    const cut = picture(rig.dbroot(2));
    const next = await take(SETS[1], SETS[0]);
    expect(next.dbroot.borrowed?.files).toBe(304);
    expect(await restored(next)).toEqual(cut);
  });

  test('what changes after it was read before the still point is stored', async () => {
    await take(SETS[0]);
    // Its time is that of the set, its place on disk is another.
    for (const name of ['FILE0.cdf', 'FILE1.cdf']) {
      const content = readFileSync(inRoot('001.dir', name));
      const { atime, mtime } = statSync(inRoot('001.dir', name));
      rmSync(inRoot('001.dir', name));
      writeFileSync(inRoot('001.dir', name), content, { mode: 0o660 });
      utimesSync(inRoot('001.dir', name), atime, mtime);
    }
    const change = (): void => {
      const { atime, mtime } = statSync(inRoot('001.dir/FILE0.cdf'));
      writeFileSync(inRoot('001.dir/FILE0.cdf'), 'FIRST 0');
      utimesSync(inRoot('001.dir/FILE0.cdf'), atime, mtime);
    };
    const next = await take(SETS[1], SETS[0], { between: change });
    expect(next.dbroot.borrowed?.files).toBe(304);
    expect(await restored(next)).toEqual(picture(rig.dbroot(2)));
  });

  test('a set that was copied before its still point is a parent too', async () => {
    const cut = picture(rig.dbroot(2));
    const change = (): void => write('001.dir/FILE3.cdf', 'changed meanwhile', 5);
    await take(SETS[0], '', { strategy: (dbroot) => DbrootPrecopy.begin(dbroot), between: change });
    expect(picture(rig.dbroot(2))).not.toEqual(cut);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const next = await take(SETS[1], SETS[0]);
    expect(next.dbroot.borrowed?.files).toBe(305);
    expect(await verify(next)).toEqual([]);
    expect(await restored(next)).toEqual(picture(rig.dbroot(2)));
  });
});

/** The part and its set say that they were made before the host was started. */
function asOfAnotherBoot({ directory, part }: TakenIncrement): void {
  const [file, setFile] = [join(directory, 'part.json'), join(directory, '..', 'set.json')];
  const before = readFileSync(file);
  const changed = Buffer.from(before.toString().replaceAll(part.columnstore?.dbroots[0]?.bootId ?? '', 'another'));
  writeFileSync(file, changed);
  writeFileSync(setFile, readFileSync(setFile, 'utf8').replaceAll(sha256Of(before), sha256Of(changed)));
}

describe('what cannot be an increment is taken in full, with the reason', () => {
  let recipient: string;
  beforeAll(() => {
    recipient = ageKey(testDirectory('age')).recipient;
  });

  test.each([
    ['a set that is not there', async () => '20261121-080000-99999999', /holds no committed set 20261121-080000-99999999$/],
    [
      'one whose list is encrypted',
      async () => (await take(SETS[0], '', { recipients: [recipient] })).part.setId,
      /is encrypted for age1\w+, and this one for nobody$/,
    ],
    [
      'one without the dbroot',
      async () => {
        fillDbroot(rig.dbroot(1), 1, 'first');
        return (await takeIncrement(rig, 1, { setId: SETS[0] })).part.setId;
      },
      /^dbroot 2 is taken in full: set \S+ has no dbroot 2$/,
    ],
  ])('%s', async (_what, parentSet, reason) => {
    const next = await take(SETS[1], await parentSet());
    expect(next.notes).toEqual([expect.stringMatching(reason)]);
    expect(next.dbroot.borrowed).toBeUndefined();
    expect(await restored(next)).toEqual(picture(rig.dbroot(2)));
    expect(existsSync(join(next.directory, '.dbroot2.known'))).toBe(false);
  });
});
