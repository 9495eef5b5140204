import { appendFileSync, closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { LAYOUT } from '@stillpoint/shared/manifest';
import { DbrootStrategy } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DbrootPrecopy, type DbrootToCapture } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { type Double, startDouble } from '../fixtures/columnstore/double.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { capturedNode, taken } from './captured-node.ts';
import { engineTree, layOut, segment } from './dbroot-tree.ts';
import { imagePicture, lockedPicture } from './precopied.ts';

describe('a node whose dbroots are captured in different ways', () => {
  let double: Double;
  let home: string;
  beforeAll(async () => {
    double = await startDouble({ started: false, modules: [[1, 3]], addresses: [hostname()], cmapi: false });
    home = testDirectory('staged');
    for (const { number, path } of double.primary.dbroots)
      layOut(path, engineTree({ first: false, columns: 3, segmentBytes: 1_200_000 + number }));
    return () => rmSync(home, { recursive: true, force: true });
  });
  afterAll(() => double?.stop());

  test('has one that was copied before and one that was taken under the lock, both as they were then', async () => {
    const node = await capturedNode(double.primary, home);
    const paths = double.primary.dbroots.map(({ path }) => path);
    const [first = '', third = ''] = paths;
    const options = { dbroots: [{ number: 1, strategy: DbrootStrategy.PRECOPY }] };
    expect(await node.precopy(options)).toMatchObject({ bytes: expect.any(BigInt), changedBytes: expect.any(BigInt) });
    for (const path of paths) writeFileSync(join(path, 'bulkRollback/3001'), 'written since');
    writeFileSync(join(first, 'systemFiles/dbrm/oidbitmap'), segment(300_000, 9));
    // Brought up to date: that is read again, and nothing else.
    const again = await node.precopy(options);
    expect(Number(again.bytes)).toBeLessThan(10_000);
    rmSync(join(first, 'versionbuffer.cdf'));
    const expected = await Promise.all([first, third].map(lockedPicture));
    const part = await taken(node, options);
    const dbroots = part.columnstore?.dbroots ?? [];
    expect(dbroots.map(({ number, superseded, shards }) => [number, superseded, shards.at(-1)])).toEqual([
      [1, true, LAYOUT.dbrootDelta(1)],
      [3, undefined, expect.stringMatching(/^dbroot3\.base\.\d\.tar\.zst$/)],
    ]);
    for (const [index, dbroot] of dbroots.entries())
      expect(await imagePicture(node.part, { dbroot, shards: part.shards })).toEqual(expected[index]);
    expect(readdirSync(node.part).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(await node.verify()).toEqual([]);
  });
});

describe('a dbroot that is copied before the still point', () => {
  const work = { signal: new AbortController().signal, onBytes: () => {}, onFound: () => {}, note: () => {} };
  const LARGE = 40 * 1024 * 1024 + 77;
  let root: string;
  let part: string;
  beforeEach(() => {
    const home = testDirectory('precopied');
    root = join(home, 'data1');
    part = join(home, 'part');
    mkdirSync(part);
    layOut(root, engineTree({ first: true, columns: 2, segmentBytes: 2_000_000 }));
    writeFileSync(join(root, 'large'), segment(LARGE, 5));
    return () => rmSync(home, { recursive: true, force: true });
  });
  const begun = (fields: Partial<DbrootToCapture> = {}): Promise<DbrootPrecopy> =>
    DbrootPrecopy.begin({
      ...{
        cluster: 'shop',
        number: 1,
        path: root,
        root,
        brmDirectory: 'systemFiles/dbrm',
        part,
        shards: 2,
        threads: 2,
        level: 1,
        recipients: [],
      },
      ...fields,
    });
  const overwrite = (name: string, at: number): void => {
    const file = openSync(join(root, name), 'r+');
    writeSync(file, 'overwritten', at);
    closeSync(file);
  };
  const takenBytes = (): number =>
    readdirSync(part)
      .filter((name) => name.includes('.taken.'))
      .reduce((sum, name) => sum + statSync(join(part, name)).size, 0);

  test('has of a large file only those blocks taken that have changed', async () => {
    const capture = await begun();
    await capture.precopy(work);
    for (const at of [0, 10_000_000, LARGE - 20]) overwrite('large', at);
    appendFileSync(join(root, 'large'), segment(1_500_000, 6));
    const expected = await lockedPicture(root);
    await capture.take(work);
    // Three blocks, those behind the former end, and what controllernode may write at any time.
    expect(takenBytes()).toBeLessThan(9 * 1024 * 1024);
    const image = await capture.finish(work);
    await capture.discard();
    expect(await imagePicture(part, image)).toEqual(expected);
  });

  test('may be taken without having been copied', async () => {
    const capture = await begun();
    const expected = await lockedPicture(root);
    await capture.take(work);
    const image = await capture.finish(work);
    await capture.discard();
    expect(image.dbroot.shards).toEqual([LAYOUT.dbrootDelta(1)]);
    expect(await imagePicture(part, image)).toEqual(expected);
  });

  test('in which something moves inside the still point is not captured', async () => {
    const capture = await begun();
    await capture.precopy(work);
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
    expect((error as StillpointError).message).toMatch(/versionbuffer\.cdf (changed|became shorter) while the engine was suspended$/);
    await capture.discard();
  });

  test('ends with the reason when it is aborted, in whatever stage', async () => {
    const reason = new Error('given up');
    for (const stage of ['precopy', 'take', 'finish'] as const) {
      const capture = await begun();
      if (stage !== 'precopy') await capture.precopy(work);
      if (stage === 'finish') await capture.take(work);
      const controller = new AbortController();
      const doing = capture[stage]({ ...work, signal: controller.signal, onFound: () => controller.abort(reason) });
      await expect(doing, stage).rejects.toBe(reason);
      await capture.discard();
      rmSync(part, { recursive: true });
      mkdirSync(part);
    }
  });
});
