import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CapturedDbroot, shardsOfEach } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { bytesOf, type Layout, layOut } from './dbroots/layout.ts';
import { emptied, inChild, PLACE, partOf } from './dbroots/tasks.ts';
import { CAPTURE_YARDSTICKS, type Ground, untar } from './dbroots/yardsticks.ts';
import { type Figure, figure, ratios } from './measure.ts';

const SEGMENT_BYTES = 50_000_000;
const SMALL_BYTES = 8192;
/** Of segment files; another number for a smaller machine. */
const GIGABYTES = Number(process.env.STILLPOINT_BENCH_GIGABYTES ?? 4);
const ONE: Layout = { segments: GIGABYTES * 20, segmentBytes: SEGMENT_BYTES, small: 2000, smallBytes: SMALL_BYTES };
const THIRD: Layout = { ...ONE, segments: Math.ceil(ONE.segments / 3), small: 700 };
const MANY: Layout = { segments: 0, segmentBytes: 0, small: 200_000, smallBytes: 512 };

type Progress = (text: string) => void;

/** Capture and restore of dbroots against programs that do less, on the same files: one dbroot, and those of several nodes at once. */
export const measureDbroots = async (rounds: number, progress: Progress): Promise<Figure[]> => [
  ...(await suite('one dbroot', ONE, [1], { levels: [1, 3], yardsticks: Object.keys(CAPTURE_YARDSTICKS) }, rounds, progress)),
  ...(await suite('three at once', THIRD, [1, 2, 3], { levels: [1], yardsticks: ['tar | zstd -T0 -1', 'rsync -a'] }, rounds, progress)),
];

/** The same of very many files: what they take in memory. */
export const measureManyFiles = (rounds: number, progress: Progress): Promise<Figure[]> =>
  suite('200,000 files', MANY, [1], { levels: [1], yardsticks: ['tar | zstd -T0 -1'] }, rounds, progress);

async function suite(
  name: string,
  layout: Layout,
  numbers: readonly number[],
  ways: Ways,
  rounds: number,
  progress: Progress,
): Promise<Figure[]> {
  const home = testDirectory('bench-dbroots');
  try {
    progress(`laying out ${name}`);
    for (const number of numbers) layOut(join(home, 'data', `data${number}`), layout, number);
    const ground = { data: join(home, 'data'), work: join(home, 'work'), numbers };
    return figuresOf(name, bytesOf(layout) * numbers.length, await measure(ground, rounds, ways, progress), ways);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

interface Ways {
  /** Of zstd, at which Stillpoint captures; the first one is what is restored. */
  readonly levels: readonly number[];
  readonly yardsticks: readonly string[];
}

/** A round each. */
interface Measured {
  /** Milliseconds, by the name of the way. */
  readonly times: Map<string, number[]>;
  /** Resident at most, bytes, by the name of the way. */
  readonly peaks: Map<string, number[]>;
  /** Stored bytes at the first level. */
  readonly storedBytes: number;
}

const captureAt = (level: number): string => `Stillpoint -${level}`;
const RESTORE = 'Stillpoint restore';
const VERIFY = 'Stillpoint read back and compared';
const UNTAR = 'zstd -dc | tar -x';

async function measure(ground: Ground, rounds: number, ways: Ways, progress: Progress): Promise<Measured> {
  const { data, work, numbers } = ground;
  const [times, peaks] = [new Map<string, number[]>(), new Map<string, number[]>()];
  const add = (to: Map<string, number[]>, name: string, value: number): void => {
    to.set(name, [...(to.get(name) ?? []), value]);
    if (to === times) progress(`${name}: ${Math.round(value)} ms`);
  };
  const repository = join(work, 'repository');
  let captured: readonly CapturedDbroot[] = [];
  const capture = async (level: number): Promise<void> => {
    await emptied(repository, join(PLACE.cluster, PLACE.setId, PLACE.node));
    const part = partOf(repository);
    const answer = await inChild({ kind: 'capture', data, repository, part, numbers, level, shards: shardsOfEach(numbers.length) });
    add(times, captureAt(level), answer.ms);
    add(peaks, captureAt(level), answer.peakBytes);
    captured = answer.captured;
  };
  const restore = async (): Promise<void> => {
    const stage = await emptied(join(work, 'stage'), ...numbers.map((number) => `data${number}`));
    const answer = await inChild({ kind: 'restore', data, repository, captured, stage });
    add(times, RESTORE, answer.ms);
    add(peaks, RESTORE, answer.peakBytes);
    rmSync(stage, { recursive: true });
    add(times, VERIFY, (await inChild({ kind: 'verify', data, repository, captured })).ms);
  };
  const all: Record<string, () => Promise<void>> = {};
  for (const level of ways.levels.slice(1)) all[captureAt(level)] = () => capture(level);
  for (const name of ways.yardsticks) all[name] = async () => add(times, name, (await CAPTURE_YARDSTICKS[name]?.(ground)) ?? Number.NaN);
  all[UNTAR] = async () => add(times, UNTAR, await untar(ground));
  all[captureAt(ways.levels[0] ?? 1)] = async () => {
    await capture(ways.levels[0] ?? 1);
    await restore();
  };
  for (let round = 0; round < rounds; round += 1) {
    // By turns, so that a machine that slows down slows all of them.
    const names = Object.keys(all);
    for (const [index] of names.entries()) {
      const name = names[(index + round * 2) % names.length] ?? '';
      await all[name]?.();
    }
  }
  const storedBytes = captured.flatMap(({ shards }) => shards).reduce((sum, shard) => sum + shard.storedBytes, 0);
  rmSync(work, { recursive: true });
  return { times, peaks, storedBytes };
}

function figuresOf(name: string, bytes: number, { times, peaks, storedBytes }: Measured, { levels, yardsticks }: Ways): Figure[] {
  const of = (way: string): number[] => times.get(way) ?? [];
  const against = (one: string, other: string): number[] =>
    ratios(of(one).map((ms, round) => [ms, of(other)[round] ?? Number.NaN] as const));
  const rate = (way: string, note?: string): Figure =>
    figure(
      `${name}: ${way}`,
      'MB/s',
      of(way).map((ms) => bytes / 1e3 / ms),
      note,
    );
  const notes = `${Math.round(bytes / 1e6)} MB, stored in ${(storedBytes / bytes).toFixed(2)} of it`;
  return [
    ...[...times.keys()].map((way) => rate(way, way === RESTORE ? notes : undefined)),
    ...levels.flatMap((level) =>
      yardsticks
        // Each level against the same one, and the first one against all that have none.
        .filter((other) => (/-\d$/.test(other) ? other.endsWith(`-${level}`) : level === levels[0]))
        .map((other) => figure(`${name}: time, ${captureAt(level)} / ${other}`, 'x', against(captureAt(level), other))),
    ),
    figure(`${name}: time, restore / ${UNTAR}`, 'x', against(RESTORE, UNTAR)),
    ...[...peaks].map(([way, values]) =>
      figure(
        `${name}: peak memory, ${way}`,
        'MB',
        values.map((each) => each / 1e6),
      ),
    ),
  ];
}
