import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LAYOUT, partDirectory, setDirectory } from '@stillpoint/shared/manifest';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dropPrecopied, keepPrecopied, misfitOf, type Origin, precopiedDirectory, recordsIn, takePrecopied, writeRecord } from './index.ts';

const [FIRST, SECOND] = ['20261121-091500-aaaaaaaa', '20261121-101500-bbbbbbbb'] as const;
const SHARD = 'dbroot1.base.0.tar.zst';

let repository: string;
beforeEach(() => {
  repository = mkdtempSync(join(tmpdir(), 'stillpoint-precopied-'));
});
afterEach(() => rmSync(repository, { recursive: true, force: true }));

const place = () => ({ repository, cluster: 'shop', node: 'pm1' });
const partOf = (setId: string): string => partDirectory(repository, 'shop', setId, 'pm1');
const kept = (): string[] => readdirSync(precopiedDirectory(place())).sort();

const origin = (operationId = 'backup-1'): Origin => ({
  ...{ cluster: 'shop', node: 'pm1', operationId, setId: FIRST, bootId: 'boot-1' },
  ...{ number: 1, path: '/data1', root: '/srv/data1', device: '7', inode: '42', level: 3, recipients: ['age1a', 'age1b'], parentSet: '' },
});

/** A part as a dead backup leaves it, with the record of one shard. */
async function leave(setId: string, operationId = 'backup-1'): Promise<void> {
  mkdirSync(partOf(setId), { recursive: true });
  writeFileSync(join(partOf(setId), LAYOUT.started), JSON.stringify({ operationId }));
  for (const name of [SHARD, 'dbroot1.base.1.tar.zst', '.dbroot1.stored', '.dbroot1.pass.1', 'mariadb.full.mbstream.zst'])
    writeFileSync(join(partOf(setId), name), operationId);
  const sha256 = 'a'.repeat(64);
  await writeRecord(partOf(setId), {
    ...origin(operationId),
    shards: [{ name: SHARD, bytes: 8, sha256 }],
    lines: { count: 1, bytes: 8, sha256 },
  });
}

const WHOLE = ['.dbroot1.precopied.json', '.dbroot1.stored', SHARD, LAYOUT.started];

test('of a dead part, what a record names is set aside, once, and becomes the beginning of another part', async () => {
  await leave(FIRST);
  expect(await keepPrecopied(place(), FIRST)).toBe(true);
  expect(kept()).toEqual(WHOLE);
  expect(existsSync(partOf(FIRST))).toBe(false);
  expect(await keepPrecopied(place(), FIRST)).toBe(false);
  await takePrecopied(place(), SECOND);
  expect(existsSync(precopiedDirectory(place()))).toBe(false);
  expect(readdirSync(partOf(SECOND)).sort()).toEqual(WHOLE);
  expect(await recordsIn(partOf(SECOND))).toMatchObject([{ ...origin(), shards: [{ name: SHARD }] }]);
});

test('it takes the place of what was set aside before; nothing does of a part without a record, or of a committed set', async () => {
  await leave(FIRST);
  await keepPrecopied(place(), FIRST);
  mkdirSync(partOf(SECOND), { recursive: true });
  writeFileSync(join(partOf(SECOND), SHARD), '');
  expect(await keepPrecopied(place(), SECOND)).toBe(false);
  await leave(SECOND, 'backup-2');
  writeFileSync(join(setDirectory(repository, 'shop', SECOND), LAYOUT.setManifest), '{}');
  expect(await keepPrecopied(place(), SECOND)).toBe(false);
  // There it is of no more use, and the shards are the set's.
  expect(await recordsIn(partOf(SECOND))).toEqual([]);
  expect(readFileSync(join(partOf(SECOND), SHARD), 'utf8')).toBe('backup-2');
  expect(readFileSync(join(precopiedDirectory(place()), SHARD), 'utf8')).toBe('backup-1');
  rmSync(join(setDirectory(repository, 'shop', SECOND)), { recursive: true });
  await leave(SECOND, 'backup-2');
  expect(await keepPrecopied(place(), SECOND)).toBe(true);
  expect(readFileSync(join(precopiedDirectory(place()), SHARD), 'utf8')).toBe('backup-2');
});

test('a part that is there already is not replaced', async () => {
  await leave(FIRST);
  await keepPrecopied(place(), FIRST);
  mkdirSync(partOf(SECOND), { recursive: true });
  await takePrecopied(place(), SECOND);
  expect(readdirSync(partOf(SECOND))).toEqual([]);
  expect(kept()).toEqual(WHOLE);
});

test('it is removed for the operation that left it, or for anybody', async () => {
  await leave(FIRST);
  await keepPrecopied(place(), FIRST);
  expect(await dropPrecopied(place(), 'backup-2')).toBe(false);
  expect(kept()).toEqual(WHOLE);
  expect(await dropPrecopied(place(), 'backup-1')).toBe(true);
  expect(await dropPrecopied(place())).toBe(false);
  expect(readdirSync(join(repository, 'shop'))).toEqual([FIRST]);
});

test.each([
  ['torn', (text: string) => text.slice(0, 40)],
  ['of another format', (text: string) => text.replace('precopied/1', 'precopied/2')],
  ['with a path for a shard', (text: string) => text.replace(SHARD, '../../../etc/passwd')],
  ['of another dbroot than its name says', (text: string) => text.replace('"number":1', '"number":2')],
])('a record that is %s is none', async (_what, change) => {
  await leave(FIRST);
  const record = join(partOf(FIRST), '.dbroot1.precopied.json');
  writeFileSync(record, change(readFileSync(record, 'utf8')));
  expect(await recordsIn(partOf(FIRST))).toEqual([]);
  expect(await keepPrecopied(place(), FIRST)).toBe(false);
});

test.each<[string, Partial<Origin>, RegExp | undefined]>([
  ['the same', {}, undefined],
  ['another operation and set', { operationId: 'backup-9', setId: SECOND }, undefined],
  ['recipients in another order', { recipients: ['age1b', 'age1a'] }, undefined],
  ['fewer recipients', { recipients: ['age1a'] }, /encrypted for age1a, age1b, and age1a is asked for/],
  ['another node', { node: 'pm2' }, /dbroot 1 of node pm1/],
  ['another cluster', { cluster: 'store' }, /of cluster shop/],
  ['another boot', { bootId: 'boot-2' }, /started anew/],
  ['another place', { root: '/mnt/data1' }, /was in \/srv\/data1 then, and is in \/mnt\/data1 now/],
  ['another file system', { device: '8' }, /another directory now/],
  ['another directory', { inode: '43' }, /another directory now/],
  ['another level', { level: 0 }, /level 3, and level 0/],
  ['an increment', { parentSet: SECOND }, new RegExp(`a full set, and an increment of set ${SECOND} is asked for`)],
])('%s', (_what, now, expected) => {
  const lines = { count: 0, bytes: 0, sha256: 'a'.repeat(64) };
  const misfit = misfitOf({ ...origin(), format: 'stillpoint-precopied/1', shards: [], lines }, { ...origin(), ...now });
  if (expected === undefined) expect(misfit).toBeUndefined();
  else expect(misfit).toMatch(expected);
});
