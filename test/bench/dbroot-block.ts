import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DbrootReflink, type DbrootToCapture } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { loopDiskObstacle, mountLoopDisk, unmountLoopDisk } from '../harness/loop-disk.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { runInstalled } from './installed.ts';
import { type Figure, figure, ratios, timed } from './measure.ts';

const run = promisify(execFile);
const GIGABYTE = 1e9;
/** A segment file of a column. */
const SEGMENT_BYTES = 50e6;
const work = { signal: new AbortController().signal, onBytes: () => {}, onFound: () => {}, note: () => {} };

type Progress = (text: string) => void;

const optionsOf = (root: string, part: string): DbrootToCapture => ({
  ...{ cluster: 'bench', number: 1, path: root, root, brmDirectory: undefined, part, shards: 2, threads: 2, level: 3, recipients: [] },
});

/** What makes writers wait while a dbroot is captured: by clones, against itself; by precopy, against a copy under the lock. */
export async function measureDbrootBlock(rounds: number, progress: Progress): Promise<Figure[]> {
  const home = testDirectory('bench-dbroot-block');
  try {
    return [...(await reflink(home, rounds, progress)), ...(await precopy(home, rounds, progress))];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

const SIZES = [1, 4, 16] as const;
/** In each of them: what it takes depends on how many there are. */
const CLONED_FILES = 2_000;

async function reflink(home: string, rounds: number, progress: Progress): Promise<Figure[]> {
  const obstacle = loopDiskObstacle('xfs');
  if (obstacle !== undefined) {
    progress(`block by reflink is skipped: ${obstacle}`);
    return [];
  }
  const disk = join(home, 'xfs');
  mountLoopDisk(disk, 'xfs', 24 * GIGABYTE);
  try {
    for (const size of SIZES) {
      progress(`laying out ${size} GB on XFS`);
      await allocate(join(disk, `data${size}`), (size * GIGABYTE) / CLONED_FILES);
    }
    const times: Record<number, number[]> = { 1: [], 4: [], 16: [] };
    for (let round = 0; round < rounds; round += 1) {
      for (const size of round % 2 === 0 ? SIZES : SIZES.toReversed()) {
        progress(`block by reflink at ${size} GB, round ${round + 1}`);
        times[size]?.push(await reflinkBlock(join(disk, `data${size}`), join(home, 'part')));
      }
    }
    const of = (size: number): number[] => times[size] ?? [];
    const flat = ratios(of(16).map((ms, index) => [ms, of(1)[index] ?? Number.NaN]));
    return [
      ...SIZES.map((size) => figure(`block by reflink, ${size} GB`, 'ms', of(size), `XFS, ${CLONED_FILES} files: two looks, and clones`)),
      figure('16 GB / 1 GB', 'x', flat),
    ];
  } finally {
    unmountLoopDisk(disk);
  }
}

/** Extents that are really there, and cost nothing to write. */
async function allocate(root: string, bytes: number): Promise<void> {
  for (let index = 0; index < CLONED_FILES; index += 1) {
    const directory = join(root, '000.dir', `${String(index >> 2).padStart(3, '0')}.dir`);
    mkdirSync(directory, { recursive: true });
    await run('fallocate', ['-l', String(bytes), join(directory, `FILE${String(index % 4).padStart(3, '0')}.cdf`)]);
  }
}

async function reflinkBlock(root: string, part: string): Promise<number> {
  mkdirSync(part);
  const capture = new DbrootReflink(optionsOf(root, part));
  try {
    // As the threads of an agent that has had its precopy.
    await capture.precopy(work);
    return await timed(() => capture.take(work));
  } finally {
    await capture.discard();
    rmSync(part, { recursive: true });
  }
}

const TOTAL_BYTES = 4 * GIGABYTE;
const SEGMENTS = TOTAL_BYTES / SEGMENT_BYTES;
/** Where 1 % of it is changed: as loads into some columns do, and the worst there is. */
const SPREADS = [
  { what: 'in a tenth of the files', files: SEGMENTS / 10 },
  { what: 'in every file', files: SEGMENTS },
] as const;

async function precopy(home: string, rounds: number, progress: Progress): Promise<Figure[]> {
  const root = join(home, 'data1');
  progress('laying out 4 GB');
  for (let index = 0; index < SEGMENTS; index += 1) write(root, index);
  const [rsync, read]: number[][] = [[], []];
  const blocks: number[][] = SPREADS.map(() => []);
  const resident: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { what, files }] of SPREADS.entries()) {
      progress(`block by precopy, 1 % changed ${what}, round ${round + 1}`);
      const { ms, peakBytes } = await precopyBlock(root, join(home, 'part'), files);
      blocks[index]?.push(ms);
      resident.push(peakBytes / 1e6);
    }
    progress(`locked copy by rsync, round ${round + 1}`);
    const copy = join(home, 'copy');
    rsync?.push(await timed(() => run('rsync', ['-a', `${root}/`, copy])));
    // What changed in every file is not found without reading every file.
    read?.push(await timed(() => run('sh', ['-c', `find ${root} -type f -print0 | xargs -0 -n 4 -P 2 cat > /dev/null`])));
    rmSync(copy, { recursive: true });
  }
  return [
    figure('locked copy of 4 GB by rsync', 'ms', rsync ?? []),
    figure('4 GB read by two cat', 'ms', read ?? []),
    ...SPREADS.flatMap(({ what }, index) => {
      const times = blocks[index] ?? [];
      return [
        figure(`block by precopy, 1 % changed ${what}`, 'ms', times, '4 GB: two looks, and what has changed'),
        figure('block by precopy / rsync', 'x', against(times, rsync)),
        figure('block by precopy / two cat', 'x', against(times, read)),
      ];
    }),
    figure('peak memory, precopy', 'MB', resident),
  ];
}

const against = (some: readonly number[], others: readonly number[] = []): number[] =>
  ratios(some.map((ms, at) => [ms, others[at] ?? Number.NaN]));

const fileOf = (index: number): string => join('000.dir', `${String(index).padStart(3, '0')}.dir`, 'FILE000.cdf');

/** Some 60 % of it cannot be compressed. */
function write(root: string, index: number): void {
  const path = join(root, fileOf(index));
  mkdirSync(join(path, '..'), { recursive: true });
  const data = Buffer.alloc(SEGMENT_BYTES / 10, `${index} a row of a column that repeats itself; `);
  let state = index + 1;
  for (let at = 0; at + 4 < data.length; at += 4) {
    if (at % 1000 >= 600) continue;
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data.writeUInt32LE((state ^ (state >>> 13)) >>> 0, at);
  }
  const file = openSync(path, 'w');
  for (let tenth = 0; tenth < 10; tenth += 1) {
    data.writeUInt32LE(tenth, 0);
    writeSync(file, data);
  }
  closeSync(file);
}

/** A dbroot that is precopied, then changed in these places, then taken. */
export interface PrecopyTask {
  readonly options: DbrootToCapture;
  readonly changed: readonly { readonly file: string; readonly at: number; readonly bytes: number }[];
}

export interface PrecopyAnswer {
  /** What the last took. */
  readonly ms: number;
  /** Resident at most. */
  readonly peakBytes: number;
}

async function precopyBlock(root: string, part: string, files: number): Promise<PrecopyAnswer> {
  mkdirSync(part);
  try {
    const bytes = Math.floor(TOTAL_BYTES / 100 / files);
    const changed = Array.from({ length: files }, (_, index) => ({ file: fileOf(index), at: 7_000_000 + index * 1000, bytes }));
    const task: PrecopyTask = { options: optionsOf(root, part), changed };
    return await runInstalled<PrecopyAnswer>(join(import.meta.dirname, 'precopy-child.ts'), task);
  } finally {
    rmSync(part, { recursive: true });
  }
}
