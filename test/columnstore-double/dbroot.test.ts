import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { ListedEntry, Shard } from '@stillpoint/shared/manifest';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { readArchive, readList } from '../../packages/agent/src/archive/index.ts';
import { type CapturedDbroot, captureDbroot, type DbrootCapture } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { canMount, fillDisk, mountSmallDisk } from '../harness/small-disk.ts';
import { engineTree, layOut, pictureOf, segment, type TreeNode } from './dbroot-tree.ts';

let root: string;
let part: string;
beforeEach(() => {
  const home = testDirectory('dbroot');
  root = join(home, 'data1');
  part = join(home, 'part');
  mkdirSync(part);
  return () => rmSync(home, { recursive: true, force: true });
});

const COLUMN = '000.dir/000.dir/011.dir/000.dir/000.dir';
const large = (): string => join(root, COLUMN, 'FILE000.cdf');
const small = (): string => join(root, COLUMN, 'FILE001.cdf');

const notes: string[] = [];
const capture = (fields: Partial<DbrootCapture> = {}): Promise<CapturedDbroot> => {
  notes.length = 0;
  return captureDbroot({
    ...{ number: 1, path: root, brmDirectory: 'systemFiles/dbrm', part, shards: 2, level: 3, recipients: [] },
    ...{ onFound: () => {}, onBytes: () => {}, note: (message) => notes.push(message), signal: new AbortController().signal },
    ...fields,
  });
};

const failureOf = async (work: Promise<unknown>): Promise<StillpointError> => {
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(StillpointError);
  return error as StillpointError;
};

/** Unpacks shards in order, as a person would. */
function unpack({ dbroot }: CapturedDbroot): string {
  const target = `${part}.unpacked`;
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  for (const name of dbroot.shards) {
    execFileSync('bash', ['-c', 'set -o pipefail; zstd -dc "$0" | tar -xp -C "$1"', join(part, name), target], { stdio: 'pipe' });
  }
  return target;
}

const shardOf = ({ shards }: CapturedDbroot, name: string): Shard => {
  const shard = shards.find((each) => each.name === name);
  if (shard === undefined) throw new Error(`no shard ${name}`);
  return shard;
};

async function* piecesOf(name: string): AsyncGenerator<Uint8Array> {
  yield readFileSync(join(part, name));
}

/** Reads all of it back, compared with the list. */
async function readBack(captured: CapturedDbroot): Promise<ListedEntry[]> {
  const { dbroot } = captured;
  const list = (): AsyncIterable<ListedEntry> =>
    readList({ shard: shardOf(captured, dbroot.list), where: 'here', pieces: piecesOf(dbroot.list) });
  for (const [index, name] of dbroot.shards.entries()) {
    const shard = shardOf(captured, name);
    for await (const { content } of readArchive({ dbroot, index, shard, where: 'here', pieces: piecesOf(name), list })) {
      for await (const _ of content);
    }
  }
  return Array.fromAsync(list());
}

describe('a dbroot', () => {
  test('is captured whole, and unpacked by the tools of the system to what it was', async () => {
    layOut(root, engineTree({ first: true, columns: 5, segmentBytes: 2_500_000 }));
    symlinkSync('000.dir', join(root, 'elsewhere'));
    const captured = await capture();
    expect(pictureOf(unpack(captured))).toEqual(pictureOf(root));
    const entries = await readBack(captured);
    expect(entries.map(({ path }) => path).sort()).toEqual(
      pictureOf(root)
        .map((line) => line.split(' ')[1])
        .sort(),
    );
    const { files, directories, dataBytes, shards, list } = captured.dbroot;
    expect(entries.filter(({ type }) => type === 'file')).toHaveLength(files);
    expect(entries.filter(({ type }) => type === 'directory')).toHaveLength(directories);
    expect(dataBytes).toBe(entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0));
    expect(readdirSync(part).sort()).toEqual([...shards, list].sort());
    expect(notes).toEqual([]);
  });

  test('comes back whatever its files are called, and however large they are', async () => {
    const name = fc
      .oneof(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), fc.string({ unit: 'grapheme', minLength: 30, maxLength: 60 }))
      .map((text) => text.replace(/[/\0]/g, '_'))
      .filter((text) => text !== '.' && text !== '..' && !text.startsWith('.stillpoint') && Buffer.byteLength(text) < 255);
    const size = fc.oneof(
      fc.nat(2000),
      fc.constantFrom(0, 511, 512, 513, 1024 * 1024 - 1, 1024 * 1024, 2 * 1024 * 1024 + 1),
      fc.nat(4_000_000),
    );
    const common = {
      mode: fc.integer({ min: 0o400, max: 0o7777 }).map((mode) => mode | 0o600),
      mtimeMs: fc.double({ min: 1, max: 4e12, noNaN: true }),
    };
    const tree = fc.array(fc.record({ directories: fc.array(name, { maxLength: 4 }), name, size, ...common, link: fc.boolean() }), {
      maxLength: 12,
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(tree, fc.integer({ min: 1, max: 4 }), async (some, shards) => {
        root = join(part, '..', `data-${round++}`);
        mkdirSync(root);
        layOut(
          root,
          // Numbered, so that no name is there twice.
          some.map(({ directories, name: own, size: bytes, mode, mtimeMs, link }, index): TreeNode => {
            const path = [...directories.map((each) => `${index}${each}`.slice(0, 100)), `${index}${own}`.slice(0, 100)].join('/');
            if (link) return { type: 'link', path, target: own };
            return { type: 'file', path, content: segment(bytes, index), mode, mtimeMs };
          }),
        );
        const captured = await capture({ shards });
        await readBack(captured);
        expect(pictureOf(unpack(captured))).toEqual(pictureOf(root));
        for (const path of [part, root]) rmSync(path, { recursive: true });
        mkdirSync(part);
      }),
      { numRuns: 15 },
    );
  });

  test('may be empty', async () => {
    mkdirSync(root);
    const captured = await capture();
    expect(await readBack(captured)).toEqual([]);
    expect(captured.dbroot).toMatchObject({ files: 0, directories: 0, dataBytes: 0 });
    expect(readdirSync(unpack(captured))).toEqual([]);
  });

  test('that is itself a link is followed, and called by its name', async () => {
    layOut(`${root}.real`, engineTree({ first: false, columns: 1, segmentBytes: 5000 }));
    symlinkSync(`${root}.real`, root);
    const captured = await capture();
    expect(captured.dbroot.path).toBe(root);
    expect(pictureOf(unpack(captured))).toEqual(pictureOf(`${root}.real`));
  });

  test('has no part in sockets, markers of ownership, and what Stillpoint keeps in it', async () => {
    layOut(root, engineTree({ first: false, columns: 1, segmentBytes: 5000 }));
    const before = pictureOf(root).filter((line) => !line.startsWith('directory bulkRollback '));
    mkdirSync(join(root, '.stillpoint/kept'), { recursive: true });
    for (const name of ['.stillpoint/kept/x', 'OWNED', 'FLUSHING', 'REQUEST_TRANSFER']) writeFileSync(join(root, name), '');
    const socket = createServer().listen(join(root, 'bulkRollback/socket'));
    await new Promise((resolve) => socket.once('listening', resolve));
    execFileSync('mkfifo', [join(root, 'fifo')]);
    const captured = await capture();
    socket.close();
    expect(pictureOf(unpack(captured)).filter((line) => !line.startsWith('directory bulkRollback '))).toEqual(before);
    expect(notes.sort()).toEqual([
      `${root}/bulkRollback/socket is neither file, directory nor link, and was left out`,
      `${root}/fifo is neither file, directory nor link, and was left out`,
    ]);
  });
});

describe('a dbroot in which something moves', () => {
  beforeEach(() => layOut(root, engineTree({ first: true, columns: 3, segmentBytes: 3_000_000 })));

  const changes: Record<string, [change: () => void, message: () => string]> = {
    'a large file that is written in place': [() => writeFileSync(large(), segment(3_000_000, 99)), () => `${large()} changed`],
    'a small file that is written in place': [() => writeFileSync(small(), segment(8192, 99)), () => `${small()} changed`],
    'a file that grows': [() => appendFileSync(large(), 'x'), () => `${large()} changed`],
    'a small file that is cut': [() => truncateSync(small(), 100), () => `${small()} became shorter`],
    'a file that is put in the place of another': [
      () => {
        writeFileSync(`${root}.new`, readFileSync(small()));
        renameSync(`${root}.new`, small());
      },
      () => `${small()} changed`,
    ],
    'a file that vanishes': [() => rmSync(large()), () => `${large()} vanished`],
    'a small file that vanishes': [() => rmSync(small()), () => `${small()} vanished`],
    'a file that appears': [
      () => writeFileSync(join(root, COLUMN, 'FILE002.cdf'), ''),
      () => `${join(root, COLUMN, 'FILE002.cdf')} appeared`,
    ],
    'a file that appears last of all': [() => writeFileSync(join(root, 'zzz'), ''), () => `${join(root, 'zzz')} appeared`],
    'a directory that appears': [() => mkdirSync(join(root, '001.dir')), () => `${join(root, '001.dir')} appeared`],
    'a directory that vanishes': [
      () => rmSync(join(root, 'bulkRollback'), { recursive: true }),
      () => `${join(root, 'bulkRollback/3001')}`,
    ],
    'a link in the place of a file': [
      () => {
        rmSync(small());
        symlinkSync('/etc/passwd', small());
      },
      () => `${small()} vanished`,
    ],
    'a pipe in the place of a file': [
      () => {
        rmSync(large());
        execFileSync('mkfifo', [large()]);
      },
      () => `${large()} changed`,
    ],
    'a file of the block resolution manager': [
      () => appendFileSync(join(root, 'systemFiles/dbrm/BRM_saves_journal'), 'x'),
      () => `${join(root, 'systemFiles/dbrm/BRM_saves_journal')} changed`,
    ],
    'a file that only looks like one of controllernode': [
      () => {
        writeFileSync(join(root, 'bulkRollback/3001_data/3001.0.0'), 'x');
      },
      () => `${join(root, 'bulkRollback/3001_data/3001.0.0')}`,
    ],
  };
  test.each(Object.entries(changes))('%s fails the capture, named', async (_what, [change, message]) => {
    const error = await failureOf(capture({ onFound: change }));
    expect([error.code, error.message]).toEqual(['CAPTURE_MOVED', expect.stringContaining(message())]);
  });

  test.each([
    ['changed', () => writeFileSync(large(), segment(3_000_000, 99))],
    ['vanished', () => rmSync(small())],
  ])('is noticed when it has been read already: %s', async (what, change) => {
    let left = Number.POSITIVE_INFINITY;
    const captured = capture({
      onFound: ({ bytes }) => {
        left = bytes;
      },
      onBytes: (bytes) => {
        left -= bytes;
        if (left === 0) change();
      },
    });
    const error = await failureOf(captured);
    expect([error.code, error.message]).toEqual(['CAPTURE_MOVED', expect.stringContaining(`${what} while the engine was suspended`)]);
  });

  test('by controllernode, which may, is captured as it came to rest', async () => {
    const locks = join(root, 'systemFiles/dbrm/tablelocks');
    const bitmap = join(root, 'systemFiles/dbrm/oidbitmap');
    let writes = 0;
    const captured = await capture({
      onFound: () => {
        const timer = setInterval(() => {
          writeFileSync(locks, Buffer.alloc(4 + (writes % 60), writes));
          writeFileSync(bitmap, segment(2_097_152, writes));
          if (++writes >= 5) clearInterval(timer);
        }, 1);
      },
    });
    await readBack(captured);
    expect(writes).toBe(5);
    const target = unpack(captured);
    // Each of the states that it had, but never a mixture: zeros at first, then five of which each repeats its own number.
    const states = [Buffer.alloc(4), ...[0, 1, 2, 3, 4].map((number) => Buffer.alloc(4 + number, number))];
    expect(states.some((state) => state.equals(readFileSync(join(target, 'systemFiles/dbrm/tablelocks'))))).toBe(true);
    const bitmaps = [Buffer.alloc(2_097_152), ...[0, 1, 2, 3, 4].map((number) => segment(2_097_152, number))];
    expect(bitmaps.some((state) => state.equals(readFileSync(join(target, 'systemFiles/dbrm/oidbitmap'))))).toBe(true);
  });
});

describe('a capture that cannot be', () => {
  beforeEach(() => layOut(root, engineTree({ first: true, columns: 3, segmentBytes: 3_000_000 })));

  test('names a dbroot that is not there, or is none', async () => {
    expect(await failureOf(capture({ path: `${root}/none` }))).toMatchObject({
      code: 'CAPTURE_FAILED',
      message: expect.stringContaining(`${root}/none`),
    });
    expect(await failureOf(capture({ path: large() }))).toMatchObject({
      code: 'CAPTURE_FAILED',
      message: `The dbroot ${large()} is not a directory`,
    });
  });

  test('names a file whose name is no text', async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${root}/bulkRollback/`), Buffer.from([0x66, 0xff])]), '');
    expect(await failureOf(capture())).toMatchObject({
      code: 'CAPTURE_FAILED',
      message: `${root}/bulkRollback holds a file whose name is not UTF-8: "f\u00ff"`,
    });
  });

  test.runIf(process.getuid?.() === 0)('names what cannot be read', async () => {
    for (const path of [join(part, '..'), part]) chmodSync(path, 0o777);
    for (const path of [large(), small(), join(root, 'bulkRollback')]) {
      chmodSync(path, 0o700);
      process.seteuid?.(65_534);
      const error = await failureOf(capture()).finally(() => process.seteuid?.(0));
      expect([error.code, error.message]).toEqual(['CAPTURE_FAILED', expect.stringMatching(`^${path} cannot be read: EACCES`)]);
      chmodSync(path, 0o777);
      for (const name of readdirSync(part)) rmSync(join(part, name));
    }
  });

  test('ends when it is aborted, with the reason, wherever it is', async () => {
    for (const after of [0, 1, 4_000_000]) {
      const abort = new AbortController();
      const lost = new StillpointError('HOLD_LOST', 'the hold is lost');
      let bytes = 0;
      const onBytes = (more: number): void => {
        bytes += more;
        if (bytes >= after) abort.abort(lost);
      };
      const captured = capture({ onBytes, onFound: () => (after === 0 ? abort.abort(lost) : undefined), signal: abort.signal });
      await expect(captured).rejects.toBe(lost);
      for (const name of readdirSync(part)) rmSync(join(part, name));
    }
    const abort = new AbortController();
    abort.abort(new Error('at once'));
    await expect(capture({ signal: abort.signal })).rejects.toThrow('at once');
  });

  describe.runIf(canMount())('where file systems can be mounted', () => {
    test('names what is mounted below', async () => {
      const place = join(root, 'bulkRollback/3001_data');
      mountSmallDisk(place, '1m');
      const error = await failureOf(capture()).finally(() => execFileSync('umount', [place]));
      expect([error.code, error.message]).toEqual(['CAPTURE_FAILED', `${place}, below the dbroot ${root}, is another file system`]);
    });

    test.each([
      ['before the scan is kept', 0],
      ['while shards are written', 0.3],
      ['at the very end', 0.98],
    ])('ends on a disk that runs full %s', async (_what, share) => {
      const { shards } = await capture();
      const bytes = shards.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
      for (const { name } of shards) rmSync(join(part, name));
      mountSmallDisk(part, '64m');
      writeFileSync(join(part, 'room'), Buffer.alloc(bytes * share));
      fillDisk(join(part, 'full'));
      rmSync(join(part, 'room'));
      const error = await failureOf(capture()).finally(() => execFileSync('umount', [part]));
      expect([error.code, error.message]).toEqual(['DISK_FULL', expect.stringContaining(part)]);
      expect(existsSync(large())).toBe(true);
    });
  });
});
