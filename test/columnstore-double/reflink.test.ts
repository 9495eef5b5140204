import { execFileSync } from 'node:child_process';
import { appendFileSync, copyFileSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  DbrootReflink,
  type DbrootToCapture,
  findClonePlace,
  removeLeftClones,
} from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { type LoopDiskKind, loopDiskObstacle, mountLoopDisk, unmountLoopDisk } from '../harness/loop-disk.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { canMount, mountSmallDisk } from '../harness/small-disk.ts';
import { AGED_MS, DbrootChain } from './dbroot-chain.ts';
import { engineTree, layOut, segment } from './dbroot-tree.ts';
import { imagePicture, lockedPicture } from './precopied.ts';

const work = { signal: new AbortController().signal, onBytes: () => {}, onFound: () => {}, note: () => {} };

let home: string;
beforeAll(() => {
  home = testDirectory('reflink');
  return () => rmSync(home, { recursive: true, force: true });
});

const KINDS: readonly LoopDiskKind[] = ['xfs', 'btrfs'];

describe.each(KINDS)('a dbroot on %s', (kind) => {
  const obstacle = loopDiskObstacle(kind);
  let disk: string;
  let root: string;
  let part: string;
  beforeAll(() => {
    disk = join(home, kind);
    if (obstacle === undefined) mountLoopDisk(disk, kind);
  });
  afterAll(() => {
    if (obstacle === undefined) unmountLoopDisk(disk);
  });
  beforeEach(({ skip }) => {
    skip(obstacle !== undefined, obstacle);
    root = join(disk, 'columnstore/data1');
    part = join(home, `${kind}-part`);
    layOut(root, engineTree({ first: true, columns: 6, segmentBytes: 1_500_000 }));
    mkdirSync(part);
    return () => {
      for (const each of [root, part, join(disk, 'part')]) rmSync(each, { recursive: true, force: true });
    };
  });
  const begun = (fields: Partial<DbrootToCapture> = {}): DbrootReflink =>
    new DbrootReflink({
      ...{
        number: 1,
        path: root,
        root,
        brmDirectory: 'systemFiles/dbrm',
        cluster: 'shop',
        part,
        shards: 2,
        threads: 2,
        level: 1,
        recipients: [],
      },
      ...fields,
    });

  /** What is left of clones beside the dbroot, in it, and in the part. */
  const ours = (): string[] => [join(root, '..'), root, part].flatMap((each) => readdirSync(each).filter((name) => name.startsWith('.')));

  test('is what it was when its files were cloned, whatever is written afterwards', async () => {
    const capture = begun();
    await capture.precopy(work);
    const expected = await lockedPicture(root);
    await capture.take(work);
    writeFileSync(join(root, 'versionbuffer.cdf'), segment(500_000, 3));
    rmSync(join(root, 'bulkRollback'), { recursive: true });
    appendFileSync(join(root, 'later'), 'later');
    expect(ours().filter((name) => name.startsWith('.stillpoint'))).toEqual(['.stillpoint-clones-shop-dbroot1']);
    const image = await capture.finish(work);
    await capture.discard();
    expect(await imagePicture(part, image)).toEqual(expected);
    expect(image.dbroot.superseded).toBeUndefined();
    expect(ours()).toEqual([]);
  });

  test('with a parent is what it was when its files were cloned, and only what has changed since the parent is stored', async () => {
    const sets = join(home, `${kind}-sets`);
    mkdirSync(sets);
    const chain = new DbrootChain(sets);
    const reads: number[] = [];
    const take = async (set: string, parent?: string): Promise<void> => {
      let read = 0;
      const counting = {
        ...work,
        onBytes: (bytes: number): void => {
          read += bytes;
        },
      };
      await pause(AGED_MS);
      const capture = new DbrootReflink({ ...chain.begin(set, root, parent), brmDirectory: 'systemFiles/dbrm' });
      try {
        await capture.precopy(counting);
        const expected = await lockedPicture(root);
        await capture.take(counting);
        expect(read).toBe(0);
        writeFileSync(join(root, 'versionbuffer.cdf'), segment(500_000, reads.length));
        chain.add(set, await capture.finish(counting));
        expect(await chain.pictureOf(set)).toEqual(expected);
      } finally {
        await capture.discard();
      }
      reads.push(read);
    };
    const restless = ['SMTxnID', 'oidbitmap', 'tablelocks'].reduce(
      (sum, name) => sum + statSync(join(root, 'systemFiles/dbrm', name)).size,
      0,
    );
    await take('first');
    // The version buffer was written after the still point.
    await take('second', 'first');
    const { borrowed, files } = chain.imageOf('second').dbroot;
    expect(files - (borrowed?.files ?? 0)).toBe(4);
    // The same content at another place on disk, which only reading the clone tells.
    const column = join(root, '000.dir/000.dir/011.dir/000.dir/000.dir/FILE000.cdf');
    const { atimeMs, mtimeMs } = statSync(column);
    copyFileSync(column, `${column}.new`);
    utimesSync(`${column}.new`, atimeMs / 1000, mtimeMs / 1000);
    renameSync(`${column}.new`, column);
    rmSync(join(root, 'bulkRollback/3001'));
    await take('third', 'second');
    const third = chain.imageOf('third').dbroot;
    expect([third.files, third.files - (third.borrowed?.files ?? 0)]).toEqual([files - 1, 4]);
    expect(reads.slice(1)).toEqual([500_000 + restless, 500_000 + restless + 1_500_000]);
    expect(ours().filter((name) => name.startsWith('.stillpoint'))).toEqual([]);
  });

  test('is cloned into the part when that is on the same file system', async () => {
    const near = join(disk, 'part');
    mkdirSync(near);
    expect(await findClonePlace(root, near)).toEqual({ parent: near });
    const capture = begun({ part: near });
    const expected = await lockedPicture(root);
    await capture.take(work);
    expect(readdirSync(near)).toContain('.stillpoint-clones-shop-dbroot1');
    const image = await capture.finish(work);
    expect(await imagePicture(near, image)).toEqual(expected);
    expect(readdirSync(near).filter((name) => name.startsWith('.'))).toEqual([]);
    await capture.discard();
  });

  test('in which something moves meanwhile is not captured, and nothing is left of it', async () => {
    const capture = begun();
    let isOver = false;
    const taking = capture.take(work).finally(() => {
      isOver = true;
    });
    taking.catch(() => undefined);
    while (!isOver) {
      appendFileSync(join(root, 'versionbuffer.cdf'), 'more');
      await turn();
    }
    const error: unknown = await taking.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StillpointError);
    expect((error as StillpointError).code).toBe('CAPTURE_MOVED');
    expect((error as StillpointError).message).toBe(`${join(root, 'versionbuffer.cdf')} changed while the engine was suspended`);
    await capture.discard();
    expect(ours().filter((name) => name.startsWith('.stillpoint'))).toEqual([]);
  });

  test('leaves nothing when it is given up, and what a killed agent left is found by its name', async () => {
    const capture = begun();
    await capture.take(work);
    await capture.discard();
    await capture.discard();
    expect(ours().filter((name) => name.startsWith('.stillpoint'))).toEqual([]);
    const [beside, within, other] = [
      join(root, '../.stillpoint-clones-shop-dbroot1'),
      join(root, '.stillpoint-clones-shop-dbroot1'),
      join(root, '../.stillpoint-clones-shop-dbroot2'),
    ];
    for (const each of [beside, within, other]) mkdirSync(join(each, 'd'), { recursive: true });
    expect(await removeLeftClones('shop', { number: 1, path: root })).toEqual([beside, within]);
    expect(ours().filter((name) => name.startsWith('.stillpoint'))).toEqual(['.stillpoint-clones-shop-dbroot2']);
    rmSync(other, { recursive: true });
  });
});

describe('where files cannot be cloned it is told why', () => {
  test.for<[LoopDiskKind, string]>([
    ['ext4', 'ext4 does not clone files'],
    ['xfs without reflink', 'an XFS made without reflink does not clone files'],
  ])('on %s', async ([kind, sentence], { skip }) => {
    const obstacle = loopDiskObstacle(kind);
    skip(obstacle !== undefined, obstacle);
    const disk = join(home, kind.replaceAll(' ', '-'));
    mountLoopDisk(disk, kind);
    try {
      mkdirSync(join(disk, 'data1'));
      expect(await findClonePlace(join(disk, 'data1'), home)).toEqual({ obstacle: sentence });
      expect(readdirSync(join(disk, 'data1'))).toEqual([]);
    } finally {
      unmountLoopDisk(disk);
    }
  });

  test('on tmpfs', async ({ skip }) => {
    skip(!canMount(), 'no file system can be mounted here');
    const disk = join(home, 'tmpfs');
    mkdirSync(disk);
    mountSmallDisk(disk, '1m');
    expect(await findClonePlace(disk, home)).toEqual({ obstacle: 'tmpfs does not clone files' });
    execFileSync('umount', [disk]);
  });

  test('in a directory that is not there', async () => {
    expect(await findClonePlace(join(home, 'none'), home)).toEqual({
      obstacle: expect.stringMatching(/^no file can be made in .*none: ENOENT/),
    });
  });
});
