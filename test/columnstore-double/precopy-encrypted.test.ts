import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { DbrootPrecopy } from '../../packages/agent/src/columnstore/dbroot/precopy/dbroot-precopy.ts';
import { type Keyring, readKeyring } from '../../packages/agent/src/encryption/index.ts';
import { type AgeKey, ageKey } from '../harness/age-key.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { pictureOf, segment } from './dbroot-tree.ts';
import { begin, operate, operations } from './hostile-writer.ts';
import { imagePicture, lockedPicture } from './precopied.ts';

/** More of them are asked for by hand: each takes some tenths of a second. */
const ROUNDS = Number(process.env.STILLPOINT_ROUNDS ?? 12);
const MIB = 1024 * 1024;
const LARGE = 12 * MIB + 777;
const FILES = ['000.dir/A.cdf', '000.dir/B.cdf'];
/** An archive's blocks begin with the header of the file. */
const HEADERS = 2048;

const work = { signal: new AbortController().signal, onBytes: () => {}, onFound: () => {}, note: () => {} };

let keys: string;
let key: AgeKey;
let second: AgeKey;
let keyring: Keyring | undefined;
beforeAll(async () => {
  keys = testDirectory('precopy-keys');
  [key, second] = [ageKey(keys), ageKey(keys, 'second')];
  keyring = await readKeyring(second.file);
  return () => rmSync(keys, { recursive: true, force: true });
});

let root: string;
let part: string;
beforeEach(() => {
  const home = testDirectory('precopy-encrypted');
  [root, part] = [join(home, 'data1'), join(home, 'part')];
  mkdirSync(part);
  return () => rmSync(home, { recursive: true, force: true });
});

const begun = (recipients: readonly string[]): Promise<DbrootPrecopy> =>
  DbrootPrecopy.begin({
    ...{ number: 1, path: root, root, brmDirectory: undefined, cluster: 'shop', part, shards: 1, threads: 1, level: 1, recipients },
  });

function layLargeFiles(): void {
  mkdirSync(join(root, '000.dir'), { recursive: true });
  for (const [index, file] of FILES.entries()) writeFileSync(join(root, file), segment(LARGE, index));
  writeFileSync(join(root, 'small'), 'small');
}

/** Other bytes than there were, at some places of each large file. */
function change(places: readonly number[], text: string): void {
  for (const file of FILES) {
    const opened = openSync(join(root, file), 'r+');
    for (const place of places) writeSync(opened, `${text} of ${file}`, place);
    closeSync(opened);
  }
}

/** Files with what was taken raw. */
const taken = (): string[] => readdirSync(part).filter((name) => name.includes('.taken.'));
const bytesOf = (names: readonly string[]): number => names.reduce((sum, name) => sum + statSync(join(part, name)).size, 0);

/** Until a file is old enough for its stamp to tell of the next write. */
const rest = (): Promise<void> => delay(100);

test.each(['nobody', 'two keys'])(
  'of large files only blocks that have changed are taken inside the still point, encrypted for %s',
  async (whom) => {
    const recipients = whom === 'nobody' ? [] : [key.recipient, second.recipient];
    layLargeFiles();
    await rest();
    const capture = await begun(recipients);
    try {
      await capture.precopy(work);
      change([3 * MIB], 'before another attempt');
      await rest();
      await capture.precopy(work);
      change([0, 5 * MIB + 17, 5 * MIB + 4000, LARGE - 100], 'before the still point');
      const expected = await lockedPicture(root);
      await capture.take(work);
      // The first block, one in the middle, and the last one, which is short: of each file.
      expect(bytesOf(taken())).toBeGreaterThan(0);
      expect(bytesOf(taken())).toBeLessThanOrEqual(FILES.length * (2 * MIB + (LARGE % MIB) + HEADERS));
      for (const name of taken()) expect(statSync(join(part, name)).mode & 0o777).toBe(0o600);
      const image = await capture.finish(work);
      expect(await imagePicture(part, { ...image, keyring })).toEqual(expected);
      expect(readdirSync(part).sort()).toEqual(image.shards.map(({ name }) => name).sort());
    } finally {
      await capture.discard();
    }
  },
);

test('the program age and tar make of it what was there', async () => {
  layLargeFiles();
  await rest();
  const capture = await begun([key.recipient]);
  try {
    await capture.precopy(work);
    change([7 * MIB + 5], 'once');
    writeFileSync(join(root, 'small'), 'later');
    await capture.take(work);
    const { dbroot } = await capture.finish(work);
    const out = join(part, 'unpacked');
    mkdirSync(out);
    for (const name of dbroot.shards)
      execFileSync('bash', [
        '-c',
        'set -o pipefail; age -d -i "$1" "$2" | zstd -dc | tar -xp -C "$3"',
        '-',
        key.file,
        join(part, name),
        out,
      ]);
    expect(pictureOf(out)).toEqual(pictureOf(root));
  } finally {
    await capture.discard();
  }
});

test('what was stored and damaged since is told, and nothing of it is used', async () => {
  layLargeFiles();
  await rest();
  const capture = await begun([key.recipient]);
  try {
    await capture.precopy(work);
    change([MIB], 'once');
    await capture.take(work);
    const shard = join(part, 'dbroot1.base.0.tar.zst.age');
    const bytes = readFileSync(shard);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(shard, bytes);
    await expect(capture.finish(work)).rejects.toMatchObject({
      code: 'CAPTURE_FAILED',
      message: expect.stringMatching(
        /^What .*dbroot1\.base\.0\.tar\.zst\.age holds of 000\.dir\/[AB]\.cdf is not what was written to it: chunk \d+ /,
      ),
    });
    expect(readdirSync(part).filter((name) => name.endsWith('.composed'))).toEqual([]);
  } finally {
    await capture.discard();
  }
});

test('the image is what a locked copy would be, byte for byte, while a hostile writer is at it', { timeout: ROUNDS * 10_000 }, async () => {
  const pauses = fc.array(fc.nat(30), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(operations(20), pauses, operations(4), async (some, passes, last) => {
      begin(root);
      const capture = await begun([key.recipient, second.recipient]);
      try {
        for (const count of passes) {
          const pass = capture.precopy(work);
          pass.catch(() => undefined);
          for (let index = 0; index < count; index += 1) {
            const operation = some[index % some.length];
            if (operation !== undefined) operate(root, operation);
            await turn();
          }
          await pass;
        }
        for (const operation of last) operate(root, operation);
        const expected = await lockedPicture(root);
        await capture.take(work);
        expect(await imagePicture(part, { ...(await capture.finish(work)), keyring })).toEqual(expected);
      } finally {
        await capture.discard();
        for (const directory of [root, part]) rmSync(directory, { recursive: true });
        mkdirSync(part);
      }
    }),
    { numRuns: ROUNDS, endOnFailure: true },
  );
});
