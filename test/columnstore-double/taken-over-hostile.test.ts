import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { partDirectory } from '@stillpoint/shared/manifest';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DbrootPrecopy } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { keepPrecopied, type Origin, recordsIn, takePrecopied } from '../../packages/agent/src/precopied/index.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { begin, keepWriting, type Operation, operate, operations } from './hostile-writer.ts';
import { imagePicture, lockedPicture } from './precopied.ts';

/** More of them are asked for by hand: each takes some tenths of a second. */
const ROUNDS = Number(process.env.STILLPOINT_ROUNDS ?? 10);
const CRASHED = new Error('crashed');

let home: string;
beforeAll(() => {
  home = testDirectory('taken-over-hostile');
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** One life of an agent: goes on in a part with what the life before has left. */
async function live(root: string, place: Parameters<typeof keepPrecopied>[0], setId: string): Promise<DbrootPrecopy> {
  const part = partDirectory(place.repository, place.cluster, setId, place.node);
  await takePrecopied(place, setId);
  mkdirSync(part, { recursive: true });
  const { dev, ino } = statSync(root, { bigint: true });
  const origin: Origin = {
    ...{ cluster: place.cluster, node: place.node, operationId: `backup-${setId}`, setId, bootId: 'boot', number: 1, path: root, root },
    ...{ device: String(dev), inode: String(ino), level: 1, recipients: [], parentSet: '' },
  };
  const [before] = await recordsIn(part);
  return DbrootPrecopy.begin({
    ...{ number: 1, path: root, root, brmDirectory: undefined, cluster: place.cluster, part },
    ...{ shards: 2, threads: 1, level: 1, recipients: [], origin, before },
  });
}

const work = (signal = new AbortController().signal) => ({ signal, onBytes: () => {}, onFound: () => {}, note: () => {} });

/** Writes for a while, or as long as something goes on, which is ended after that while when `isCrash`. */
async function writeWhile(
  root: string,
  some: readonly Operation[],
  forMs: number,
  isCrash: boolean,
  doing: (signal: AbortSignal) => Promise<unknown>,
) {
  const controller = new AbortController();
  const over = doing(controller.signal);
  await keepWriting(root, some, over, forMs);
  if (isCrash) controller.abort(CRASHED);
  await over.catch((error: unknown) => {
    if (error !== CRASHED) throw error;
  });
}

test('an image that was begun in several lives is what a locked copy would be, whatever is written meanwhile', {
  timeout: ROUNDS * 15_000,
}, async () => {
  let round = 0;
  const lives = fc.array(fc.record({ whole: fc.nat(150), torn: fc.nat(150) }), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(operations(30), lives, operations(3), async (some, earlier, last) => {
      round += 1;
      const root = join(home, `data${round}`);
      const place = { repository: join(home, `repository${round}`), cluster: 'shop', node: 'pm1' };
      begin(root);
      for (const [number, { whole, torn }] of earlier.entries()) {
        const setId = `set-${number}`;
        const capture = await live(root, place, setId);
        try {
          await writeWhile(root, some, whole, false, (signal) => capture.precopy(work(signal)));
          await writeWhile(root, some, torn, true, (signal) => capture.precopy(work(signal)));
        } finally {
          await capture.discard();
        }
        expect(await keepPrecopied(place, setId)).toBe(true);
        for (const operation of last) operate(root, operation);
      }
      const capture = await live(root, place, 'last');
      try {
        await writeWhile(root, some, 50, false, (signal) => capture.precopy(work(signal)));
        for (const operation of last) operate(root, operation);
        const expected = await lockedPicture(root);
        await capture.take(work());
        const image = await capture.finish(work());
        expect(await imagePicture(partDirectory(place.repository, 'shop', 'last', 'pm1'), image)).toEqual(expected);
      } finally {
        await capture.discard();
      }
      rmSync(root, { recursive: true });
      rmSync(place.repository, { recursive: true });
    }),
    { numRuns: ROUNDS, endOnFailure: true },
  );
});
