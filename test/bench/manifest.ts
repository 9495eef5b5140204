import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type {
  SimulatedAnswer,
  SimulatedTask,
  StoredList,
} from '../../packages/agent/src/columnstore/dbroot/increment/fixture/simulated-child.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { shell } from './dbroots/tasks.ts';
import { runCompiled } from './installed.ts';
import { type Figure, figure, ratios, timed } from './measure.ts';

const ENTRIES = 1_000_000;
const CHILD = join(import.meta.dirname, '../../packages/agent/dist/columnstore/dbroot/increment/fixture/simulated-child.js');

/** A way, and what does the same or less. */
type Way = 'write' | 'read' | 'diff';
const YARDSTICKS: Readonly<Record<Way, string>> = {
  write: 'zstd -1 of the lines',
  read: 'zstd -dc | wc -l',
  diff: 'diff of two zstd -dc',
};

/** A list of 1,000,000 entries, a terabyte in sum, of which nothing but the list is on disk: written, read and checked, and compared for an increment. */
export async function measureManifest(rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  const home = testDirectory('bench-manifest');
  const at = (name: string): string => join(home, name);
  const times: Record<Way, [number, number][]> = { write: [], read: [], diff: [] };
  const peaks: Record<Way, number[]> = { write: [], read: [], diff: [] };
  try {
    progress(`simulating ${ENTRIES} entries`);
    await inChild({ kind: 'raw', entries: ENTRIES, to: at('lines'), isChanged: false });
    await inChild({ kind: 'raw', entries: ENTRIES, to: at('changed'), isChanged: true });
    await shell(`zstd -q -1 ${at('changed')} -o ${at('changed.zst')}`);
    for (let round = 0; round < rounds; round += 1) {
      progress(`round ${round + 1}`);
      const measure = async (way: Way, task: SimulatedTask, yardstick: string): Promise<SimulatedAnswer> => {
        const answer = await inChild(task);
        times[way].push([answer.ms, await timed(() => shell(yardstick))]);
        peaks[way].push(answer.peakBytes / 1e6);
        return answer;
      };
      for (const name of ['list', 'plain', 'next']) rmSync(at(name), { force: true });
      const { list } = await measure(
        'write',
        { kind: 'write', entries: ENTRIES, from: at('lines'), to: at('list') },
        `zstd -q -1 ${at('lines')} -o ${at('plain')}`,
      );
      const stored = requireList(list);
      await measure('read', { kind: 'read', entries: ENTRIES, list: stored }, `zstd -dc ${at('list')} | wc -l`);
      const { counted } = await measure(
        'diff',
        { kind: 'diff', entries: ENTRIES, list: stored, to: at('next') },
        `diff <(zstd -dc ${at('list')}) <(zstd -dc ${at('changed.zst')}) | wc -l || true`,
      );
      if (counted !== ENTRIES / 100) throw new Error(`${counted} files were found to differ, not ${ENTRIES / 100}`);
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  return (['write', 'read', 'diff'] as const).flatMap((way) => {
    const of = `${way} a list of ${ENTRIES.toLocaleString('en')} entries`;
    const ours = times[way].map(([ms]) => ms);
    return [
      figure(of, 'ms', ours, way === 'diff' ? 'one in 100 has changed; its parent is read, its own list written' : undefined),
      figure(`${way}: time / ${YARDSTICKS[way]}`, 'x', ratios(times[way])),
      figure(`${way}: peak memory`, 'MB', peaks[way], 'goal 250'),
    ];
  });
}

const inChild = (task: SimulatedTask): Promise<SimulatedAnswer> => runCompiled(CHILD, task);

function requireList(list: StoredList | undefined): StoredList {
  if (list === undefined) throw new Error('no list was written');
  return list;
}
