import type { SetManifest } from '@stillpoint/shared/manifest';
import { formatDuration } from '@stillpoint/shared/time';
import { bar, type Style } from '../style.ts';
import { table } from '../table.ts';

const BAR_WIDTH = 24;

type Phase = SetManifest['phases'][number];

/** Where the time of a set went: first what writers waited for, then what they did not, each drawn to scale. */
export function phaseTables(set: SetManifest, style: Style): readonly (readonly string[])[] {
  const waited = set.phases.filter(({ blocksWriters }) => blocksWriters);
  const others = set.phases.filter(({ blocksWriters }) => !blocksWriters);
  return [drawn('while writers waited', waited, set, style), drawn('without a lock', others, set, style)];
}

function drawn(title: string, phases: readonly Phase[], set: SetManifest, style: Style): readonly string[] {
  if (phases.length === 0) return [];
  const longest = Math.max(1, ...phases.map(({ ms }) => ms));
  return table(
    [{ title }, { title: 'time', align: 'right' }, { title: 'slowest node' }, { title: '' }],
    phases.map(({ phase, ms }) => [
      phase,
      formatDuration(ms),
      slowestText(phase, set),
      style.paint('cyan', bar(ms / longest, BAR_WIDTH, style)),
    ]),
    style,
  );
}

/** Which node took longest, where more than one had that to do. */
function slowestText(phase: string, { members }: SetManifest): string {
  const times = members.flatMap(({ node, phases }) => phases.filter((each) => each.phase === phase).map(({ ms }) => ({ node, ms })));
  const [slowest, ...more] = times.toSorted((a, b) => b.ms - a.ms);
  return slowest === undefined || more.length === 0 ? '' : `${slowest.node}, ${formatDuration(slowest.ms)}`;
}
