import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { runProgram } from '../../packages/agent/src/process/index.ts';
import { openRepository, type Repository, verifyPart } from '../../packages/agent/src/repository/index.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { makePartDirectory, setManifest, shardOf, writePartManifest } from './parts.ts';
import { describeRepository } from './repository-suite.ts';

const SET = '20261121-091500-aaaaaaaa';
const made: string[] = [];
const directory = (): string => {
  const path = testDirectory('repository');
  made.push(path);
  return path;
};
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

describeRepository('a local directory', async () => {
  const path = directory();
  return {
    repository: openRepository({ repository: path, cluster: 'c', node: 'n1' }),
    putPart: async (setId, node, data) => {
      const place = { repository: path, cluster: 'c', setId, node };
      writeFileSync(join(makePartDirectory(place), 'data.zst'), data);
      return writePartManifest(place).sha256;
    },
    putJunk: async () => {
      mkdirSync(join(path, 'c', 'lost+found'), { recursive: true });
      mkdirSync(join(path, 'c', '.snapshot'));
      mkdirSync(join(path, 'c', 'somebody-elses'));
      writeFileSync(join(path, 'c', 'notes.txt'), 'x');
    },
    setManifest: (setId, digests, uses) => setManifest({ cluster: 'c', setId }, digests, uses),
  };
});

/** A committed part with one real zstd file of `bytes` that do not compress well. */
async function committedPart(bytes: number): Promise<{ repository: Repository; part: string; set: string }> {
  const path = directory();
  const place = { repository: path, cluster: 'c', setId: SET, node: 'n1' };
  const part = makePartDirectory(place);
  const raw = join(path, 'raw');
  writeFileSync(raw, Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 2654435761) >>> (i % 24))));
  await runProgram('zstd', ['-q', '-o', join(part, 'mariadb.full.mbstream.zst'), raw]);
  const { sha256 } = writePartManifest(place, { shards: [shardOf(part, 'mariadb.full.mbstream.zst')] });
  const repository = openRepository({ repository: path, cluster: 'c', node: 'n1' });
  await repository.commitSet(SET, setManifest(place, { n1: sha256 }));
  return { repository, part, set: join(path, 'c', SET) };
}

const verify = (repository: Repository, progress = (_step: string, _done: number, _total: number): void => {}) =>
  verifyPart(repository, SET, 'n1', { signal: new AbortController().signal, progress });

test('a commit leaves instructions and set.json, and no temporary files', async () => {
  const { part, set } = await committedPart(1000);
  expect(readdirSync(set).sort()).toEqual(['HOW-TO-RESTORE.txt', 'n1', 'set.json']);
  expect(readFileSync(join(set, 'HOW-TO-RESTORE.txt'), 'utf8')).toContain(`PART=${part}`);
  expect(statSync(join(set, 'set.json')).mode & 0o777).toBe(0o640);
});

test('a sound part verifies, with progress up to the end', async () => {
  const { repository, part } = await committedPart(3_000_000);
  const seen: number[] = [];
  const verdict = await verify(repository, (_, done, total) => seen.push(done / total));
  expect(verdict.problems).toEqual([]);
  expect(verdict.bytes).toBe(statSync(join(part, 'mariadb.full.mbstream.zst')).size + statSync(join(part, 'part.json')).size);
  expect(seen.at(-1)).toBe(1);
});

test('a truncated file is named with the byte at which it ends', async () => {
  const { repository, part } = await committedPart(500_000);
  const file = join(part, 'mariadb.full.mbstream.zst');
  const { size } = statSync(file);
  truncateSync(file, size - 100);
  expect((await verify(repository)).problems).toEqual([`mariadb.full.mbstream.zst is truncated: it ends at byte ${size - 100} of ${size}`]);
});

test('a file that has grown is named', async () => {
  const { repository, part } = await committedPart(5000);
  writeFileSync(join(part, 'mariadb.full.mbstream.zst'), 'more', { flag: 'a' });
  expect((await verify(repository)).problems).toEqual([expect.stringContaining('mariadb.full.mbstream.zst is too long')]);
});

test('a flipped bit is found, and where zstd gave up', async () => {
  const { repository, part } = await committedPart(4_000_000);
  const file = join(part, 'mariadb.full.mbstream.zst');
  const data = readFileSync(file);
  const at = Math.floor(data.length / 2);
  data[at] = (data[at] ?? 0) ^ 0x10;
  writeFileSync(file, data);
  const { problems } = await verify(repository);
  expect(problems[0]).toBe('mariadb.full.mbstream.zst does not hold the bytes that were written');
  const place = /zstd gave up between byte (\d+) and (\d+)/.exec(problems[1] ?? '');
  expect(Number(place?.[2])).toBeGreaterThanOrEqual(at);
});

test('a missing file is named', async () => {
  const { repository, part } = await committedPart(1000);
  rmSync(join(part, 'mariadb.full.mbstream.zst'));
  expect((await verify(repository)).problems).toEqual(['mariadb.full.mbstream.zst is missing']);
});

test('a link in the place of a file is not followed', async () => {
  const { repository, part } = await committedPart(1000);
  rmSync(join(part, 'mariadb.full.mbstream.zst'));
  symlinkSync('/etc/passwd', join(part, 'mariadb.full.mbstream.zst'));
  expect((await verify(repository)).problems).toEqual(['mariadb.full.mbstream.zst is missing']);
  const reading = repository.readShard(SET, 'n1', 'mariadb.full.mbstream.zst', new AbortController().signal)[Symbol.asyncIterator]();
  await expect(reading.next()).rejects.toThrow('cannot be read');
});

test('a changed part.json is told from set.json', async () => {
  const { repository, part } = await committedPart(1000);
  writeFileSync(join(part, 'part.json'), ' ', { flag: 'a' });
  expect((await verify(repository)).problems).toEqual(['part.json differs from what set.json says it is']);
});

test('a part.json that points elsewhere is refused as a manifest', async () => {
  const { repository, part } = await committedPart(1000);
  const manifest = readFileSync(join(part, 'part.json'), 'utf8').replace('"mariadb.full.mbstream.zst"', '"../../../../etc/passwd"');
  writeFileSync(join(part, 'part.json'), manifest);
  const { problems } = await verify(repository);
  expect(problems[0]).toContain('differs');
  expect(problems[1]).toContain('shards.0.name');
});

test('a part that was never committed cannot be verified', async () => {
  const { repository, set } = await committedPart(1000);
  rmSync(join(set, 'set.json'));
  await expect(verify(repository)).rejects.toMatchObject({ code: 'SET_NOT_FOUND' });
});

test('what an interrupted deletion left is no part any more, and goes with the next attempt', async () => {
  const { repository, part, set } = await committedPart(1000);
  // As a crash leaves it between the rename and the last file.
  rmSync(join(set, 'set.json'));
  renameSync(part, join(set, '.removed.n1'));
  const listed = [];
  for await (const one of repository.listSets(new AbortController().signal)) listed.push(one);
  expect(listed).toEqual([]);
  expect(await repository.deletePart(SET)).toBeGreaterThan(0);
  expect(existsSync(set)).toBe(false);
});

test('the mark of a protected set goes with its last part, and something of somebody else stays', async () => {
  const { repository, set } = await committedPart(1000);
  writeFileSync(join(set, 'notes.txt'), 'mine');
  await repository.protectSet(SET, Buffer.from('{}'));
  expect(statSync(join(set, 'protected.json')).mode & 0o777).toBe(0o640);
  rmSync(join(set, 'set.json'));
  expect(await repository.removeUnfinishedPart(SET)).toBe(true);
  expect(readdirSync(set)).toEqual(['notes.txt']);
});
