import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DbrootPrecopy, type DbrootToCapture, type DbrootWork } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { loopDiskObstacle, mountLoopDisk, unmountLoopDisk } from '../harness/loop-disk.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { AGED_MS, DbrootChain } from './dbroot-chain.ts';
import { segment } from './dbroot-tree.ts';
import { begin, keepWriting, operate, operations } from './hostile-writer.ts';
import { lockedPicture } from './precopied.ts';

/** More of them are asked for by hand: each takes some tenths of a second. */
const ROUNDS = Number(process.env.STILLPOINT_ROUNDS ?? 8);

const work = (fields: Partial<DbrootWork> = {}): DbrootWork => ({
  ...{ signal: new AbortController().signal, onBytes: () => {}, onFound: () => {}, note: () => {} },
  ...fields,
});

let home: string;
let root: string;
let chain: DbrootChain;
beforeEach(() => {
  home = testDirectory('precopy-increment');
  root = join(home, 'data1');
  chain = new DbrootChain(home);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** What `write` may do, and when. */
interface Moments {
  /** While the only pass runs, and before anything is looked at. */
  readonly before?: () => void;
  /** Between the pass and the still point. */
  readonly between?: () => void;
}

/** Takes a set, and sees that it is what a locked copy would be. Gives the bytes that were read before the still point, and inside. */
async function take(
  set: string,
  begun: DbrootToCapture,
  { before, between }: Moments = {},
): Promise<{ readonly before: number; readonly inside: number; readonly notes: readonly string[] }> {
  const capture = await DbrootPrecopy.begin(begun);
  const notes: string[] = [];
  const note = (sentence: string): void => void notes.push(sentence);
  let inside = 0;
  try {
    before?.();
    const { bytes } = await capture.precopy(work({ note }));
    between?.();
    const expected = await lockedPicture(root);
    await capture.take(
      work({
        onBytes: (some) => {
          inside += some;
        },
      }),
    );
    chain.add(set, await capture.finish(work()));
    expect(await chain.pictureOf(set)).toEqual(expected);
    return { before: bytes, inside, notes };
  } finally {
    await capture.discard();
  }
}

const full = (set: string) => take(set, chain.begin(set, root));
const increment = (set: string, parent: string, moments?: Moments) => take(set, chain.begin(set, root, parent), moments);

describe('an increment of a dbroot that is copied before the still point', () => {
  const SEGMENT = 2_000_000;
  const at = (name: string): string => join(root, name);
  beforeEach(async () => {
    mkdirSync(at('000.dir'), { recursive: true });
    for (let index = 0; index < 10; index += 1) writeFileSync(at(`000.dir/FILE${index}`), segment(SEGMENT, index));
    for (let index = 0; index < 10; index += 1) writeFileSync(at(`SMALL${index}`), `small ${index}`);
    await pause(AGED_MS);
    await full('full');
  });

  test('reads inside it only what has changed since the pass, however much has since the parent', async () => {
    for (let index = 0; index < 6; index += 1) writeFileSync(at(`000.dir/FILE${index}`), segment(SEGMENT, index + 100));
    rmSync(at('SMALL0'));
    await pause(AGED_MS);
    const { before, inside } = await increment('second', 'full', { between: () => writeFileSync(at('SMALL1'), 'other') });
    expect([before, inside]).toEqual([6 * SEGMENT, 5]);
    const { borrowed, dataBytes, files } = chain.imageOf('second').dbroot;
    expect(files).toBe(19);
    expect(borrowed).toMatchObject({ files: 12, dataBytes: 4 * SEGMENT + 8 * 7 });
    expect(dataBytes).toBe(10 * SEGMENT + 8 * 7 + 5);
    expect(borrowed?.shards.every(({ set, node }) => set === 'full' && node === 'pm1')).toBe(true);
  });

  test('of one names every set in which bytes lie, oldest first, and none in which none do any more', async () => {
    writeFileSync(at('SMALL1'), 'second');
    await pause(AGED_MS);
    await increment('second', 'full');
    await increment('third', 'second');
    const setsOf = (set: string) => [...new Set(chain.imageOf(set).dbroot.borrowed?.shards.map((shard) => shard.set))];
    expect(setsOf('second')).toEqual(['full']);
    expect(setsOf('third')).toEqual(['full', 'second']);
    writeFileSync(at('SMALL1'), 'fourth');
    await increment('fourth', 'third');
    expect(setsOf('fourth')).toEqual(['full']);
  });

  test('stores nothing when nothing has changed, and has no shard for that', async () => {
    expect(await increment('second', 'full')).toEqual({ before: 0, inside: 0, notes: [] });
    expect(chain.imageOf('second').dbroot).toMatchObject({ shards: ['dbroot1.delta.tar.zst'], borrowed: { files: 20 } });
  });

  test('reads what only its place on disk tells from what is stored, and stores nothing of it', async () => {
    cpSync(root, `${root}.restored`, { recursive: true, preserveTimestamps: true });
    for (const name of ['000.dir/FILE3', 'SMALL4']) chmodSync(join(`${root}.restored`, name), 0o600);
    rmSync(root, { recursive: true });
    renameSync(`${root}.restored`, root);
    await pause(AGED_MS);
    const { before, inside } = await increment('second', 'full');
    expect([before, inside]).toEqual([10 * SEGMENT + 10 * 7, 0]);
    expect(chain.imageOf('second').dbroot).toMatchObject({ shards: ['dbroot1.delta.tar.zst'], borrowed: { files: 20 } });
    expect(await increment('third', 'second')).toEqual({ before: 0, inside: 0, notes: [] });
  });

  test('believes no stamps that may be older than a crash of the machine: what is the same is read, and not stored', async () => {
    const { size, atimeMs, mtimeMs } = statSync(at('000.dir/FILE5'));
    writeFileSync(at('000.dir/FILE5'), segment(size, 77));
    utimesSync(at('000.dir/FILE5'), atimeMs / 1000, mtimeMs / 1000);
    await pause(AGED_MS);
    const begun = chain.begin('second', root);
    const parent = { ...chain.asParent('full'), lookedAtMs: undefined };
    const { before, inside } = await take('second', { ...begun, parent });
    expect([before, inside]).toEqual([11 * SEGMENT + 10 * 7, 0]);
    expect(chain.imageOf('second').dbroot.borrowed).toMatchObject({ files: 19, dataBytes: 9 * SEGMENT + 10 * 7 });
    expect((await increment('third', 'second')).before).toBe(0);
  });

  test('has what was changed within a tick of the clock while it was looked at', async () => {
    await increment('second', 'full', {
      before: () => utimesSync(at('SMALL2'), 1, 1),
      between: () => {
        appendFileSync(at('SMALL3'), 'more');
        truncateSync(at('000.dir/FILE1'), 100);
        renameSync(at('SMALL4'), at('SMALL5'));
        writeFileSync(at('new'), 'new');
      },
    });
  });

  test('stores files that may be written at any time, whatever their stamps say', async () => {
    await increment('second', 'full');
    const begun = { ...chain.begin('third', root, 'second'), brmDirectory: '' };
    writeFileSync(at('tablelocks'), 'locks');
    await pause(AGED_MS);
    await take('third', begun);
    await pause(AGED_MS);
    await take('fourth', { ...chain.begin('fourth', root, 'third'), brmDirectory: '' });
    expect(chain.imageOf('fourth').dbroot).toMatchObject({ files: 21, borrowed: { files: 20 } });
  });

  test('is a full one when the list of its parent is damaged, with a sentence on that', async () => {
    const parent = chain.asParent('full');
    const files = chain.listOf('full');
    const list = async function* () {
      for (const [index, entry] of (await files).entries())
        if (index < 15) yield entry;
        else yield* parent.list(new AbortController().signal);
    };
    const { inside, notes } = await take('second', { ...chain.begin('second', root), parent: { ...parent, list } });
    expect(notes).toEqual(['dbroot 1 is taken in full: A list of set full has more than the 20 files that part.json counts']);
    expect(inside).toBe(0);
    expect(chain.imageOf('second').dbroot.borrowed).toBeUndefined();
  });
});

/** One set of a chain: what the writer does before it, during the pass and for how many milliseconds of it, and between that and the still point. */
const steps = fc.record({
  before: operations(20),
  during: operations(20),
  ms: fc.nat(200),
  between: operations(3),
  isAfterCrash: fc.boolean(),
});
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;

/** Does what a writer does until the work has ended, at most for so long. */
async function writeDuring<T>({ during, ms }: Step, working: Promise<T>): Promise<T> {
  await keepWriting(root, during, working, ms);
  return working;
}

/** A set as an increment of the one before it. */
async function takeStep(set: string, before: string | undefined, step: Step): Promise<void> {
  for (const operation of step.before) operate(root, operation);
  const begun = chain.begin(set, root, before);
  const parent = begun.parent && (step.isAfterCrash ? { ...begun.parent, lookedAtMs: undefined } : begun.parent);
  const capture = await DbrootPrecopy.begin({ ...begun, parent });
  try {
    await writeDuring(step, capture.precopy(work()));
    for (const operation of step.between) operate(root, operation);
    const expected = await lockedPicture(root);
    await capture.take(work());
    chain.add(set, await capture.finish(work()));
    expect(await chain.pictureOf(set)).toEqual(expected);
  } finally {
    await capture.discard();
  }
}

/** The same size and time each time: only its content is another. */
function writeAll(count: number): void {
  for (let index = 0; index < 24; index += 1) {
    const path = join(root, `FILE${index}`);
    writeFileSync(path, `${index} ${count}`.padEnd(40));
    utimesSync(path, 1_700_000_000, 1_700_000_000);
  }
}

describe.each(['the temporary directory', 'ext3'] as const)('a chain of increments on %s', (kind) => {
  const obstacle = kind === 'ext3' ? loopDiskObstacle(kind) : undefined;

  test('has what was written within a tick of the clock after it was compared', { timeout: ROUNDS * 10_000 }, async ({ skip }) => {
    skip(obstacle !== undefined, obstacle);
    const place = join(home, 'place');
    if (kind === 'ext3') mountLoopDisk(place, kind);
    root = join(place, 'data');
    try {
      mkdirSync(root, { recursive: true });
      writeAll(0);
      await full('full');
      for (let round = 0; round < ROUNDS; round += 1) {
        writeAll(0);
        const begun = chain.begin(`set${round}`, root, 'full');
        const capture = await DbrootPrecopy.begin(begun);
        try {
          let isRead = false;
          const onBytes = (): void => {
            isRead = true;
          };
          const pass = capture.precopy(work({ onBytes }));
          pass.catch(() => undefined);
          while (!isRead) {
            writeAll(0);
            await turn();
          }
          for (let more = 0; more <= round % 3; more += 1) writeAll(1 + more);
          await pass;
          const expected = await lockedPicture(root);
          await capture.take(work());
          chain.add(`set${round}`, await capture.finish(work()));
          expect(await chain.pictureOf(`set${round}`)).toEqual(expected);
        } finally {
          await capture.discard();
        }
      }
    } finally {
      if (kind === 'ext3') unmountLoopDisk(place);
    }
  });

  test('is what locked copies would be, byte for byte, whatever a hostile writer does', { timeout: ROUNDS * 15_000 }, async ({ skip }) => {
    skip(obstacle !== undefined, obstacle);
    const place = join(home, 'place');
    if (kind === 'ext3') mountLoopDisk(place, kind);
    let round = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(steps, { minLength: 2, maxLength: 4 }), async (taken) => {
          round += 1;
          root = join(place, `data${round}`);
          begin(root);
          const sets = taken.map((_, index) => `${round}-${index}`);
          for (const [index, step] of taken.entries()) await takeStep(sets[index] ?? '', sets[index - 1], step);
          for (const set of sets) rmSync(chain.partOf(set), { recursive: true });
          rmSync(root, { recursive: true });
        }),
        { numRuns: ROUNDS, endOnFailure: true },
      );
    } finally {
      if (kind === 'ext3') unmountLoopDisk(place);
    }
  });
});
