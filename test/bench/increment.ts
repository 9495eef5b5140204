import { closeSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { engineRig } from '../agent-restore/engine-rig.ts';
import { type TakenIncrement, takeIncrement } from '../agent-restore/increment-rig.ts';
import { bytesOf, type Layout, layOut } from './dbroots/layout.ts';
import { type Figure, figure } from './measure.ts';

const SEGMENT_BYTES = 5_000_000;
/** Of segment files; another number for a smaller machine. */
const GIGABYTES = Number(process.env.STILLPOINT_BENCH_GIGABYTES ?? 4);
const LAYOUT: Layout = { segments: GIGABYTES * 200, segmentBytes: SEGMENT_BYTES, small: 2000, smallBytes: 8192 };
/** One in so many files is written to between two sets. */
const ONE_IN = 100;

/** An increment of a dbroot of which one file in a hundred has changed, against its own full set: time, and bytes. */
export async function measureIncrement(rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  const rig = engineRig(2, [[1], [2]]);
  try {
    progress('laying out one dbroot');
    layOut(rig.dbroot(2), LAYOUT, 1);
    const [time, bytes, block, rate]: number[][] = [[], [], [], []];
    for (let round = 0; round < rounds; round += 1) {
      const [fullId, nextId] = [`20261121-0${round}0000-aaaaaaaa`, `20261121-0${round}1000-bbbbbbbb`];
      const full = await timed(() => takeIncrement(rig, 2, { setId: fullId }));
      touch(rig.dbroot(2), round);
      let takenAt = 0;
      const next = await timed(() =>
        takeIncrement(rig, 2, {
          setId: nextId,
          parentSet: fullId,
          between: () => {
            takenAt = performance.now();
          },
        }),
      );
      const inside = performance.now() - takenAt;
      progress(
        `full ${Math.round(full.ms)} ms, increment ${Math.round(next.ms)} ms, of that ${Math.round(inside)} ms with the writers out`,
      );
      time?.push(next.ms / full.ms);
      bytes?.push(next.taken.storedBytes / full.taken.storedBytes);
      block?.push(inside);
      rate?.push(next.ms);
      rmSync(rig.config.repository, { recursive: true });
    }
    const of = `of ${Math.round(bytesOf(LAYOUT) / 1e6)} MB, one file in ${ONE_IN} changed`;
    return [
      figure('increment of a dbroot', 'ms', rate ?? [], of),
      figure('increment, with the writers out', 'ms', block ?? [], 'by locked'),
      figure('increment / its own full set, time', 'x', time ?? [], 'goal 0.10'),
      figure('increment / its own full set, bytes', 'x', bytes ?? [], 'goal 0.02; its list included'),
    ];
  } finally {
    rmSync(rig.home, { recursive: true, force: true });
  }
}

async function timed(work: () => Promise<TakenIncrement>): Promise<{ readonly ms: number; readonly taken: TakenIncrement }> {
  const startedAt = performance.now();
  const taken = await work();
  return { ms: performance.now() - startedAt, taken };
}

/** Writes a few bytes into some files, in place. */
function touch(root: string, round: number): void {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => join(root, name))
    .filter((path) => statSync(path).isFile())
    .sort();
  for (const [index, path] of files.entries()) {
    if (index % ONE_IN !== round % ONE_IN) continue;
    const file = openSync(path, 'r+');
    writeSync(file, `round ${round}`, 4096);
    closeSync(file);
  }
}
