import { closeSync, constants, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DbrootPrecopy } from '../../packages/agent/src/columnstore/dbroot/precopy/dbroot-precopy.ts';
import { type LoopDiskKind, loopDiskObstacle, mountLoopDisk, unmountLoopDisk } from '../harness/loop-disk.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { begin, keepWriting, type Operation, operate, operations } from './hostile-writer.ts';
import { imagePicture, lockedPicture } from './precopied.ts';

/** More of them are asked for by hand: each takes some tenths of a second. */
const ROUNDS = Number(process.env.STILLPOINT_ROUNDS ?? 30);

const work = { signal: new AbortController().signal, onBytes: () => {}, onFound: () => {}, note: () => {} };

let home: string;
beforeAll(() => {
  home = testDirectory('precopy');
  return () => rmSync(home, { recursive: true, force: true });
});

const KINDS: readonly (LoopDiskKind | 'the temporary directory')[] = ['the temporary directory', 'ext3'];

describe.each(KINDS)('a dbroot on %s, copied while a hostile writer is at it', (kind) => {
  const obstacle = kind === 'the temporary directory' ? undefined : loopDiskObstacle(kind);
  let place: string;
  beforeAll(() => {
    place = join(home, kind.replaceAll(' ', '-'));
    if (kind === 'the temporary directory') mkdirSync(place);
    else if (obstacle === undefined) mountLoopDisk(place, kind);
  });
  afterAll(() => {
    if (kind !== 'the temporary directory' && obstacle === undefined) unmountLoopDisk(place);
  });

  const begun = (root: string, part: string): Promise<DbrootPrecopy> =>
    DbrootPrecopy.begin({
      ...{ number: 1, path: root, root, brmDirectory: undefined, cluster: 'shop', part, shards: 1, threads: 1, level: 1, recipients: [] },
    });

  /** What `write` leaves when it has stopped, and what the image of it is. */
  async function compare(
    round: string,
    prepare: (root: string) => void,
    write: (root: string, capture: DbrootPrecopy) => Promise<void>,
  ): Promise<void> {
    const root = join(place, `data${round}`);
    const part = join(home, `part${round}`);
    mkdirSync(part);
    prepare(root);
    const capture = await begun(root, part);
    try {
      await write(root, capture);
      const expected = await lockedPicture(root);
      await capture.take(work);
      const image = await capture.finish(work);
      expect(await imagePicture(part, image)).toEqual(expected);
    } finally {
      await capture.discard();
      rmSync(root, { recursive: true });
      rmSync(part, { recursive: true });
    }
  }

  test('is what a locked copy would be, byte for byte', { timeout: ROUNDS * 10_000 }, async ({ skip }) => {
    skip(obstacle !== undefined, obstacle);
    let round = 0;
    const durations = fc.array(fc.nat(400), { minLength: 1, maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(operations(30), durations, operations(3), async (some, passes, last) => {
        round += 1;
        await compare(`${round}`, begin, async (root, capture) => {
          for (const writeForMs of passes) await writeWhile(root, some, capture.precopy(work), writeForMs);
          for (const operation of last) operate(root, operation);
        });
      }),
      { numRuns: ROUNDS, endOnFailure: true },
    );
  });

  test('also when the last write comes within a tick of the clock after the file was read', { timeout: ROUNDS * 10_000 }, async ({
    skip,
  }) => {
    skip(obstacle !== undefined, obstacle);
    for (let round = 0; round < ROUNDS; round += 1) {
      await compare(
        `${round}-tick`,
        (root) => mkdirSync(root),
        async (root, capture) => {
          let isRead = false;
          let count = 0;
          writeAll(root, count);
          const pass = capture.precopy({
            ...work,
            onBytes: () => {
              isRead = true;
            },
          });
          pass.catch(() => undefined);
          while (!isRead) {
            writeAll(root, ++count);
            await turn();
          }
          for (let more = 0; more <= round % 3; more += 1) writeAll(root, ++count);
          await pass;
        },
      );
    }
  });
});

/** The same size each time. */
function writeAll(root: string, count: number): void {
  for (let index = 0; index < 24; index += 1) {
    const file = openSync(join(root, `FILE${index}`), constants.O_WRONLY | constants.O_CREAT);
    writeSync(file, `${index} ${count}`.padEnd(40), 0);
    closeSync(file);
  }
}

/** Goes on for a while, or until it is told that the work has ended: it stops in the middle of it, or just after something was read. */
async function writeWhile(root: string, some: readonly Operation[], working: Promise<unknown>, forMs: number): Promise<void> {
  await keepWriting(root, some, working, forMs);
  await working;
}
