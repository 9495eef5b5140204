import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { entryOfLine } from '../../packages/agent/src/columnstore/dbroot/line.ts';
import { StampTable, tableMemory } from '../../packages/agent/src/columnstore/dbroot/precopy/stamp-table.ts';
import { ScanThreads } from '../../packages/agent/src/columnstore/dbroot/scanning/scan-threads.ts';
import { linesIn } from '../../packages/agent/src/columnstore/dbroot/scanning/unmoved.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { type Figure, figure, largestWhile, ratios, timed } from './measure.ts';

const run = promisify(execFile);
const COUNTS = [100_000, 1_000_000] as const;
const THREADS = 2;
const { signal } = new AbortController();

/** A look at every file of a dbroot, compared with the stamps of an earlier one, against find: what the still point of a precopy cannot do without. */
export async function measureScan(rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const count of COUNTS) {
    const home = testDirectory('bench-scan');
    try {
      progress(`laying out ${count} files`);
      layOut(home, count);
      figures.push(...(await measure(home, count, rounds, progress)));
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  }
  return figures;
}

/** As columns have them: four segments in a directory of their own, within one. */
function layOut(root: string, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const column = index >> 2;
    const names = [column >> 16, (column >> 8) & 255, column & 255].map((number) => `${String(number).padStart(3, '0')}.dir`);
    const directory = join(root, ...names, '000.dir');
    if (index % 4 === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `FILE00${index % 4}.cdf`), 'x');
  }
}

async function measure(root: string, count: number, rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  const scans = new ScanThreads({ root, threads: THREADS, restless: new Set(), takeInto: join(root, 'nothing') });
  const [ours, find, resident]: number[][] = [[], [], []];
  try {
    const stamps = await recorded(scans, count);
    for (let round = 0; round < rounds; round += 1) {
      progress(`a look at ${count} files, round ${round + 1}`);
      const looking = { tell: 'differing', isAlive: false, stamps: { memory: stamps.memory, seen: round + 1 }, signal } as const;
      const { result, largest } = await largestWhile(
        () => process.memoryUsage.rss(),
        () => timed(() => scans.scan(looking)),
      );
      ours?.push(result);
      resident?.push(largest / 1e6);
      find?.push(await timed(() => run('bash', ['-c', `find ${root} -printf '%s %T@ %C@ %i %P\\n' >/dev/null`])));
    }
  } finally {
    await scans.end();
  }
  const named = count.toLocaleString('en');
  return [
    figure(`a look at ${named} files, Stillpoint`, 'ms', ours ?? [], `${THREADS} threads, compared with stamps, digested`),
    figure(`find -printf of ${named} files`, 'ms', find ?? []),
    figure('time, Stillpoint / find', 'x', ratios((ours ?? []).map((ms, index) => [ms, find?.[index] ?? Number.NaN]))),
    figure('memory of the process', 'MB', resident ?? []),
  ];
}

async function recorded(scans: ScanThreads, count: number): Promise<StampTable> {
  const table = new StampTable(tableMemory(count));
  let line = 0;
  await scans.scan({
    ...{ tell: 'all', isAlive: false, signal },
    onAnswer: async ({ lines }) => {
      for (const each of linesIn(lines)) {
        const entry = entryOfLine(each);
        if (entry.type === 'file') table.record(entry, ++line);
      }
    },
  });
  return table;
}
