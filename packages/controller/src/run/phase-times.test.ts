import { expect, it } from 'vitest';
import { type PhaseTime, PhaseTimes, whatTookTheTime } from './phase-times.ts';

const time = (phase: string, ms: number, nodes: PhaseTime['nodes'], more: Partial<PhaseTime> = {}): PhaseTime => ({
  ...{ phase, ms, nodes, blocksWriters: true, ended: true },
  ...more,
});

it('what took the time is told longest first, with the slowest node, and without what no writer waited for', () => {
  const times = [
    time('precopy', 90_000, [{ node: 'db1', ms: 90_000 }], { blocksWriters: false }),
    time('quiesce', 12, [
      { node: 'db1', ms: 12 },
      { node: 'db2', ms: 4 },
    ]),
    time(
      'capture',
      58_214,
      [
        { node: 'db1', ms: 7 },
        { node: 'db2', ms: 58_200 },
      ],
      { ended: false },
    ),
    time('drain', 1_500, []),
  ];
  expect(whatTookTheTime(times)).toBe('capture 58.2 s (db2, not ended), drain 1.50 s, quiesce 0.01 s (db1)');
  expect(whatTookTheTime([])).toBe('');
});

it('an attempt that is made again takes its times with it', () => {
  const times = new PhaseTimes();
  times.add(time('check', 1, []));
  const mark = times.mark();
  times.add(time('quiesce', 2, []));
  times.rewind(mark);
  expect(times.all.map(({ phase }) => phase)).toEqual(['check']);
});
