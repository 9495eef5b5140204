import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { LAYOUT, type PartManifest } from '@stillpoint/shared/manifest';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { testTask } from '../agent/node.ts';
import { type Double, startDouble } from '../fixtures/columnstore/double.ts';
import type { DoubleNode } from '../fixtures/columnstore/double-node.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { type CapturedNode, capturedNode, holdWith, taken } from './captured-node.ts';
import { engineTree, layOut } from './dbroot-tree.ts';

let double: Double;
let home: string;

beforeAll(async () => {
  // All modules are this host, whose name is the only one of it that is known.
  double = await startDouble({ started: false, modules: [[1, 3], [4], []], addresses: Array(3).fill(hostname()), cmapi: false });
  for (const { dbroots, dataDirectory } of double.nodes) {
    for (const { number, path } of dbroots) layOut(path, engineTree({ first: false, columns: number, segmentBytes: 1_500_000 }));
    writeFileSync(join(dataDirectory, '.secrets'), 'the key', { mode: 0o400 });
  }
});
afterAll(() => double?.stop());
beforeEach(() => {
  home = testDirectory('engine-capture');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const nodeOf = (node: DoubleNode, settings: Readonly<Record<string, unknown>> = {}): Promise<CapturedNode> =>
  capturedNode(node, home, settings);

const failureOf = async (work: Promise<unknown>): Promise<StillpointError> =>
  toStillpointError(
    await work.then(
      (value) => new Error(`it did not fail but gave ${String(value)}`),
      (error: unknown) => error,
    ),
  );

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const first = (): DoubleNode => double.primary;
const nth = (index: number): DoubleNode => {
  const node = double.nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
};

describe('a node of the engine', () => {
  test('with two dbroots has both in its part, by number, and where the block resolution manager is', async () => {
    const node = await nodeOf(first());
    const task = testTask('capture');
    const result = await node.capture(task);
    expect(readdirSync(node.part)).toContain(LAYOUT.dbroot(3, 0));
    const part = await node.publish();
    const { columnstore, shards } = part;
    expect(columnstore).toMatchObject({
      ...{
        version: '',
        configFile: first().configFile,
        module: 1,
        primary: true,
        brmCurrent: 'BRM_saves',
      },
      dbrmRoot: join(first().dataDirectory, 'data1/systemFiles/dbrm/BRM_saves'),
      dbroots: first().dbroots.map(({ number, path }) => ({ number, path, list: LAYOUT.dbrootFiles(number) })),
    });
    const dbroots = columnstore?.dbroots ?? [];
    expect(shards.filter(({ content }) => content !== 'configuration').map(({ name }) => name)).toEqual(
      dbroots.flatMap((dbroot) => [...dbroot.shards, dbroot.list]),
    );
    for (const { name, storedBytes, sha256: digest } of shards) {
      expect([readFileSync(join(node.part, name)).length, sha256(join(node.part, name))]).toEqual([storedBytes, digest]);
    }
    const bytes = dbroots.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
    expect(bytes).toBeGreaterThan(4 * 1_500_000);
    expect(result.position).toBeUndefined();
    expect(task.steps.at(-1)).toEqual({ step: 'copy', done: bytes, total: bytes });
    expect(readdirSync(node.part).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('has its configuration in its part, and misses nothing that it need not have', async () => {
    const node = await nodeOf(first());
    await node.capture();
    const task = testTask('publish');
    const { configuration } = await node.publish(task);
    const { configFile, dataDirectory } = first();
    expect(configuration.map(({ path }) => path).sort()).toEqual(
      [
        configFile,
        join(dirname(configFile), 'storagemanager.cnf'),
        join(dirname(configFile), 'cmapi_server.conf'),
        join(dataDirectory, '.secrets'),
        join(dataDirectory, 'local/module'),
      ].sort(),
    );
    expect(configuration.find(({ path }) => path.endsWith('.secrets'))?.mode).toBe('0400');
    expect(task.messages).toEqual([]);
    const bare = await nodeOf(nth(1), { dataDirectory: join(home, 'none'), cmapi: { configFile: join(home, 'none.conf') } });
    expect(bare.agent.config.columnstore.dataDirectory).toBe(join(home, 'none'));
  });

  test('that is not the primary takes nothing of what lies there of others', async () => {
    const other = nth(1);
    // As a release up to 6 leaves it on every node.
    const decoy = join(other.dataDirectory, 'data1/systemFiles/dbrm');
    mkdirSync(decoy, { recursive: true });
    writeFileSync(join(decoy, 'BRM_saves_em'), 'stale');
    const node = await nodeOf(other);
    const part = await taken(node);
    expect(part.columnstore).toMatchObject({ module: 2, primary: false, brmCurrent: '' });
    expect(part.columnstore?.dbroots.map(({ number, path }) => [number, path])).toEqual([[4, join(other.dataDirectory, 'data4')]]);
    expect(readdirSync(node.part).filter((name) => name.startsWith('dbroot1'))).toEqual([]);
    expect(await node.verify()).toEqual([]);
  });

  test('without a dbroot has none in its part', async () => {
    const node = await nodeOf(nth(2));
    node.hold = { ...node.hold, stand: undefined };
    const part = await taken(node);
    expect(part.columnstore).toMatchObject({ module: 3, primary: false, dbroots: [] });
    expect(part.shards.map(({ name }) => name)).toEqual([LAYOUT.configuration]);
    expect(await node.verify()).toEqual([]);
  });
});

describe('a capture of dbroots is refused, and nothing of the part is left,', () => {
  const refused = async (node: CapturedNode, code: string, message: RegExp): Promise<void> => {
    const error = await failureOf(node.capture());
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    expect(existsSync(node.part)).toBe(false);
  };

  test('when the engine is not suspended', async () => {
    const node = await nodeOf(first());
    node.hold = { ...node.hold, stand: undefined };
    await refused(node, 'HOLD_LOST', /^The engine is not suspended under this hold, so its dbroots \(1, 3\)/);
  });

  test('when the hold is not in force any more', async () => {
    const node = await nodeOf(first());
    node.hold = { ...node.hold, inForce: false };
    await refused(node, 'HOLD_LOST', /let go before the capture began/);
  });

  test('when the hold is given back in good order on the way', async () => {
    const node = await nodeOf(first());
    const seen = [true, false];
    node.hold = Object.defineProperty({ ...node.hold }, 'inForce', { get: () => seen.shift() });
    expect(await failureOf(node.capture())).toMatchObject({ code: 'HOLD_LOST' });
    expect(existsSync(node.part)).toBe(false);
  });

  test('when Columnstore.xml is another than the one that was suspended', async () => {
    const node = await nodeOf(first());
    node.hold = holdWith(node.lost, 'a'.repeat(64));
    await refused(node, 'CAPTURE_MOVED', /Columnstore\.xml was changed after the engine was suspended/);
  });

  test('when the hold is lost on the way: at once, with its reason', async () => {
    const node = await nodeOf(first());
    const task = { ...testTask('capture'), progress: () => node.lost.abort(new StillpointError('LEASE_EXPIRED', 'no controller')) };
    expect(await failureOf(node.capture(task))).toMatchObject({ code: 'LEASE_EXPIRED', message: 'no controller' });
    expect(existsSync(node.part)).toBe(false);
  });

  test('when one of several dbroots cannot be captured', async () => {
    const node = await nodeOf(first());
    const gone = join(first().dbroots[1]?.path ?? '', 'versionbuffer.cdf');
    const content = readFileSync(gone);
    const task = { ...testTask('capture'), progress: () => writeFileSync(gone, 'moved') };
    const error = await failureOf(node.capture(task));
    writeFileSync(gone, content);
    expect([error.code, error.message]).toEqual(['CAPTURE_MOVED', expect.stringContaining(gone)]);
    expect(existsSync(node.part)).toBe(false);
  });

  describe('when the block resolution manager', () => {
    let dbrm: string;
    let kept: string;
    beforeEach(() => {
      dbrm = join(first().dataDirectory, 'data1/systemFiles/dbrm');
      kept = testDirectory('kept-dbrm');
      for (const name of readdirSync(dbrm)) copyFileSync(join(dbrm, name), join(kept, name));
      return () => {
        for (const name of readdirSync(kept)) copyFileSync(join(kept, name), join(dbrm, name));
      };
    });

    test.each([
      ['has no journal', () => rmSync(join(dbrm, 'BRM_saves_journal')), /needs .*BRM_saves_journal, which is not there/],
      ['lacks a file of its current set', () => rmSync(join(dbrm, 'BRM_saves_vss')), /needs .*BRM_saves_vss, which is not there/],
      ['does not say what is current', () => rmSync(join(dbrm, 'BRM_saves_current')), /BRM_saves_current/],
      ['says nothing that could be current', () => writeFileSync(join(dbrm, 'BRM_saves_current'), '../x\n'), /names no set/],
      [
        'names a set that is not there',
        () => writeFileSync(join(dbrm, 'BRM_saves_current'), 'BRM_savesB\n'),
        /BRM_savesB_\w+, which is not there/,
      ],
    ])('%s', async (_what, damage, message) => {
      for (const name of readdirSync(dbrm)) if (name.startsWith('BRM_savesB')) rmSync(join(dbrm, name));
      damage();
      await refused(await nodeOf(first()), 'BRM_FAILED', message);
    });

    test.each([
      ['another set', 'BRM_savesA\n', 'BRM_savesA'],
      ['it by a path, as 1.0 and 1.1 do', '/usr/local/mariadb/columnstore/data1/systemFiles/dbrm/BRM_saves\n', 'BRM_saves'],
    ])('but not when it names %s', async (_what, text, set) => {
      for (const kind of ['em', 'vbbm', 'vss']) copyFileSync(join(dbrm, `BRM_saves_${kind}`), join(dbrm, `BRM_savesA_${kind}`));
      writeFileSync(join(dbrm, 'BRM_saves_current'), text);
      const node = await nodeOf(first());
      await node.capture();
      expect((await node.publish()).columnstore?.brmCurrent).toBe(set);
    });

    test('lies outside of dbroot 1', async () => {
      const config = join(home, 'Columnstore.xml');
      const outside = join(home, 'dbrm');
      mkdirSync(outside);
      for (const name of readdirSync(dbrm)) copyFileSync(join(dbrm, name), join(outside, name));
      const xml = readFileSync(first().configFile, 'utf8');
      writeFileSync(config, xml.replace(/<DBRMRoot>.*<\/DBRMRoot>/, `<DBRMRoot>${outside}/BRM_saves</DBRMRoot>`));
      await refused(await nodeOf(first(), { config }), 'BRM_FAILED', /is saved in .*\/dbrm, which is not in dbroot 1/);
    });
  });

  test('when the data lies in object storage', async () => {
    const config = join(home, 'Columnstore.xml');
    copyFileSync(first().configFile, config);
    writeFileSync(join(home, 'storagemanager.cnf'), '[ObjectStorage]\nservice = S3\n');
    await refused(await nodeOf(first(), { config }), 'COLUMNSTORE_UNSUPPORTED', /object storage/);
  });
});

describe('what was captured is not published', () => {
  test('under a hold that was taken anew', async () => {
    const node = await nodeOf(nth(1));
    await node.capture();
    node.hold = { ...node.hold };
    expect(await failureOf(node.publish())).toMatchObject({ code: 'HOLD_LOST' });
    expect(existsSync(node.part)).toBe(false);
  });

  test('when Columnstore.xml was changed since', async () => {
    const config = join(home, 'Columnstore.xml');
    copyFileSync(nth(1).configFile, config);
    const node = await nodeOf(nth(1), { config });
    await node.capture();
    writeFileSync(config, `${readFileSync(config, 'utf8')}<!-- added -->\n`);
    expect(await failureOf(node.publish())).toMatchObject({ code: 'CAPTURE_MOVED', message: expect.stringContaining(config) });
    expect(existsSync(node.part)).toBe(false);
  });
});

describe('verification of dbroots', () => {
  let node: CapturedNode;
  let part: PartManifest;
  beforeEach(async () => {
    node = await nodeOf(nth(1));
    part = await taken(node);
  });
  const at = (name: string): string => join(node.part, name);
  const flip = (name: string, place: number): void => {
    const data = readFileSync(at(name));
    data.writeUInt8(data.readUInt8(place) ^ 1, place);
    writeFileSync(at(name), data);
  };

  test('finds nothing wrong with what was written', async () => expect(await node.verify()).toEqual([]));

  test('names file and place of what is not what was written', async () => {
    const { storedBytes } = part.shards.find(({ name }) => name === LAYOUT.dbroot(4, 0)) ?? { storedBytes: 0 };
    flip(LAYOUT.dbroot(4, 0), storedBytes >> 1);
    expect(await node.verify()).toEqual([
      expect.stringMatching(
        /^dbroot4\.base\.0\.tar\.zst of set \S+ is damaged: \S+FILE000\.cdf, in the frame at byte \d+: it cannot be decompressed/,
      ),
    ]);
  });

  test('names what is cut short, too long or missing', async () => {
    const { storedBytes } = part.shards.find(({ name }) => name === LAYOUT.dbroot(4, 0)) ?? { storedBytes: 0 };
    truncateSync(at(LAYOUT.dbroot(4, 0)), 1000);
    expect(await node.verify()).toEqual([`dbroot4.base.0.tar.zst is truncated: it ends at byte 1000 of ${storedBytes}`]);
    writeFileSync(at(LAYOUT.dbroot(4, 0)), Buffer.alloc(storedBytes + 5));
    expect(await node.verify()).toEqual([`dbroot4.base.0.tar.zst is too long: ${storedBytes + 5} bytes instead of ${storedBytes}`]);
    rmSync(at(LAYOUT.dbroot(4, 0)));
    expect(await node.verify()).toEqual(['dbroot4.base.0.tar.zst is missing']);
  });

  test('looks at the archives also when the list is damaged', async () => {
    flip(LAYOUT.dbrootFiles(4), 40);
    flip(LAYOUT.dbroot(4, 0), 1000);
    expect(await node.verify()).toEqual([
      expect.stringMatching(/^dbroot4\.files\.jsonl\.zst of set \S+( is damaged|, line)/),
      'dbroot4.base.0.tar.zst does not hold the bytes that were written',
      expect.stringMatching(/^dbroot4\.base\.0\.tar\.zst cannot be decoded/),
    ]);
  });
});
