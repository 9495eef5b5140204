import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ListedEntry, Shard } from '@stillpoint/shared/manifest';
import { readArchive, readList } from '../../packages/agent/src/archive/index.ts';
import { type CapturedDbroot, captureDbroot, shardsOfEach } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { openRepository } from '../../packages/agent/src/repository/index.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { type Figure, figure, largestWhile, ratios, timed } from './measure.ts';

const run = promisify(execFile);
const MEBIBYTE = 1024 * 1024;
/** Of each dbroot: segment files as columns have them, and those of small tables. */
const SEGMENTS = { count: 24, bytes: 12 * MEBIBYTE };
const SMALL = { count: 1_500, bytes: 8_192 };
const DBROOTS = [1, 2, 3] as const;
const PLACE = { cluster: 'bench', node: 'pm1', setId: 'set' };

/** Capture of dbroots against the bare tools on the same files: one, and those of several nodes at the same time. */
export async function measureDbroots(rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  const home = testDirectory('bench-dbroots');
  try {
    progress('laying out dbroots');
    for (const number of DBROOTS) layOut(pathOf(home, number), number);
    const one = await measure(home, [1], rounds, progress);
    const all = await measure(home, DBROOTS, rounds, progress);
    return [...figuresOf('one dbroot', one), ...figuresOf(`${DBROOTS.length} dbroots at once`, all), ...readingOf(all)];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

const pathOf = (home: string, number: number): string => join(home, `data${number}`);

/** Some 60 % of it cannot be compressed. */
function layOut(path: string, seed: number): void {
  let state = seed;
  const segment = (bytes: number): Buffer => {
    const data = Buffer.alloc(bytes, `${seed} a row of a column that repeats itself; `);
    for (let at = 0; at + 4 < bytes; at += 4) {
      if (at % 1000 >= 600) continue;
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      data.writeUInt32LE((state ^ (state >>> 13)) >>> 0, at);
    }
    return data;
  };
  const write = (kind: string, { count, bytes }: { count: number; bytes: number }): void => {
    for (let index = 0; index < count; index++) {
      const directory = join(path, '000.dir', kind, `${String(index >> 2).padStart(3, '0')}.dir`);
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `FILE${String(index % 4).padStart(3, '0')}.cdf`), segment(bytes));
    }
  };
  write('011.dir', SEGMENTS);
  write('012.dir', SMALL);
}

const bytesOf = (dbroots: number): number => dbroots * (SEGMENTS.count * SEGMENTS.bytes + SMALL.count * SMALL.bytes);

interface Measured {
  readonly bytes: number;
  /** Milliseconds, a round each. */
  readonly product: readonly number[];
  readonly tarZstd: readonly number[];
  readonly rsync: readonly number[];
  readonly reading: readonly number[];
  readonly untar: readonly number[];
  /** Resident at most while capturing, bytes. */
  readonly resident: readonly number[];
}

async function measure(home: string, numbers: readonly number[], rounds: number, progress: (text: string) => void): Promise<Measured> {
  const times = { product: [] as number[], tarZstd: [] as number[], rsync: [] as number[], reading: [] as number[], untar: [] as number[] };
  const resident: number[] = [];
  const ways = {
    product: async (place: string) => {
      const { result, largest } = await largestWhile(
        () => process.memoryUsage.rss(),
        () => timed(() => captureAll(home, numbers, place)),
      );
      resident.push(largest);
      return result;
    },
    tarZstd: (place: string) =>
      timed(() => each(numbers, (number) => shell(`tar -C ${pathOf(home, number)} -c . | zstd -T0 -3 -q -o ${place}/${number}.tar.zst`))),
    rsync: (place: string) => timed(() => each(numbers, (number) => shell(`rsync -a ${pathOf(home, number)}/ ${place}/${number}`))),
  };
  const captured = join(home, 'captured');
  for (let round = 0; round < rounds; round += 1) {
    // By turns, so that a machine that slows down slows all of them.
    const order = (['product', 'tarZstd', 'rsync'] as const).map((_, index, names) => names[(index + round) % names.length] ?? 'product');
    for (const way of order) {
      progress(`${numbers.length} dbroots by ${way}, round ${round + 1}`);
      const place = join(home, way);
      rmSync(place, { recursive: true, force: true });
      mkdirSync(place);
      times[way].push(await ways[way](place));
    }
    rmSync(captured, { recursive: true, force: true });
    mkdirSync(join(captured, PLACE.cluster, PLACE.setId, PLACE.node), { recursive: true });
    const taken = await captureAll(home, numbers, join(captured, PLACE.cluster, PLACE.setId, PLACE.node));
    times.reading.push(await timed(() => each(taken, (dbroot) => readBack(captured, dbroot))));
    const target = join(home, 'unpacked');
    times.untar.push(
      await timed(() => each(numbers, (number) => unpack(join(home, 'tarZstd', `${number}.tar.zst`), join(target, String(number))))),
    );
    rmSync(target, { recursive: true });
  }
  return { bytes: bytesOf(numbers.length), ...times, resident };
}

const each = async <T>(things: readonly T[], work: (thing: T) => Promise<unknown>): Promise<void> => {
  await Promise.all(things.map(work));
};

/** As the agent of a node does it. */
const captureAll = (home: string, numbers: readonly number[], part: string): Promise<CapturedDbroot[]> =>
  Promise.all(
    numbers.map((number) =>
      captureDbroot({
        ...{ number, path: pathOf(home, number), brmDirectory: undefined, part, shards: shardsOfEach(numbers.length), level: 3 },
        ...{ recipients: [], onFound: () => {}, onBytes: () => {}, note: () => {}, signal: new AbortController().signal },
      }),
    ),
  );

/** All of it, compared with its list: what a restore does besides writing. */
async function readBack(repository: string, { dbroot, shards }: CapturedDbroot): Promise<void> {
  const stored = openRepository({ repository, cluster: PLACE.cluster, node: PLACE.node });
  const { signal } = new AbortController();
  const shardOf = (name: string): Shard => {
    const shard = shards.find((one) => one.name === name);
    if (shard === undefined) throw new Error(`no shard ${name}`);
    return shard;
  };
  const opened = (name: string) => ({
    shard: shardOf(name),
    where: 'here',
    pieces: stored.readShard(PLACE.setId, PLACE.node, name, signal),
  });
  const list = (): AsyncIterable<ListedEntry> => readList(opened(dbroot.list));
  await each([...dbroot.shards.entries()], async ([index, name]) => {
    for await (const _ of readArchive({ ...opened(name), dbroot, index, list }));
  });
}

async function unpack(archive: string, target: string): Promise<void> {
  mkdirSync(target, { recursive: true });
  await shell(`zstd -dc ${archive} | tar -x -C ${target}`);
}

const rate = (bytes: number, times: readonly number[]): number[] => times.map((ms) => bytes / 1e3 / ms);
const against = (times: readonly number[], others: readonly number[]): number[] =>
  ratios(times.map((ms, index) => [ms, others[index] ?? Number.NaN] as const));

function figuresOf(what: string, { bytes, product, tarZstd, rsync, resident }: Measured): Figure[] {
  return [
    figure(`capture of ${what}, Stillpoint`, 'MB/s', rate(bytes, product), `${Math.round(bytes / 1e6)} MB, hashed, looked at twice`),
    figure(`capture of ${what}, tar | zstd -T0 -3`, 'MB/s', rate(bytes, tarZstd)),
    figure(`capture of ${what}, rsync -a`, 'MB/s', rate(bytes, rsync)),
    figure('time, Stillpoint / tar | zstd', 'x', against(product, tarZstd)),
    figure('time, Stillpoint / rsync', 'x', against(product, rsync)),
    figure(
      'memory of the process, capturing',
      'MB',
      resident.map((each) => each / 1e6),
    ),
  ];
}

const readingOf = ({ bytes, reading, untar }: Measured): Figure[] => [
  figure('dbroots read back and compared', 'MB/s', rate(bytes, reading), 'no file is written'),
  figure('zstd -dc | tar -x of the same', 'MB/s', rate(bytes, untar), 'files are written'),
];

/** A pipe whose every part must succeed. */
const shell = (command: string): Promise<unknown> => run('bash', ['-c', `set -o pipefail; ${command}`]);
