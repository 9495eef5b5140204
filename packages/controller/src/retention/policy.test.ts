import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calendarWeek } from './calendar.ts';
import { judgeRetention, type RetainedSet, type RetentionRules, removalOrder } from './policy.ts';

const NOW = new Date('2026-11-21T09:15:00.000Z');
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const setAt = (cutAt: string, changes: Partial<RetainedSet> = {}): RetainedSet => ({
  ...{ setId: cutAt.replace(/[-:]/g, '').slice(0, 13), cutAt, state: 'good', uses: [], isProtected: false, readBy: '' },
  ...changes,
});
const daysAgo = (days: number, changes: Partial<RetainedSet> = {}): RetainedSet =>
  setAt(new Date(NOW.getTime() - days * DAY_MS).toISOString(), changes);
const kept = (sets: readonly RetainedSet[], rules: RetentionRules): string[] =>
  judgeRetention(sets, rules, NOW)
    .filter(({ keep }) => keep)
    .map(({ setId }) => setId);
const ids = (sets: readonly RetainedSet[]): string[] => sets.map(({ setId }) => setId);

describe('rules', () => {
  const week = [0, 1, 2, 3, 4, 5, 6].map((days) => daysAgo(days));

  it('none keep everything', () => {
    expect(kept(week, {})).toEqual(ids(week));
    expect(kept(week, { minimumGood: 2 })).toEqual(ids(week));
  });

  it('keep the last so many', () => {
    expect(kept(week, { keepLast: 3 })).toEqual(ids(week.slice(0, 3)));
  });

  it('keep what is young enough, the limit included', () => {
    expect(kept(week, { keepWithin: 2 * DAY_MS })).toEqual(ids(week.slice(0, 3)));
  });

  it('keep the newest of each day, week and month that has one, by UTC', () => {
    const sets = [
      setAt('2026-11-21T08:00:00.000Z'),
      setAt('2026-11-21T00:10:00.000Z'),
      // One more hour, and it would be of the 21st.
      setAt('2026-11-20T23:30:00.000Z'),
      setAt('2026-11-16T00:00:00.000Z'),
      setAt('2026-11-15T23:59:59.000Z'),
      setAt('2026-10-31T22:00:00.000Z'),
      setAt('2026-09-02T10:00:00.000Z'),
    ];
    expect(kept(sets, { keepDaily: 2 })).toEqual(['20261121T0800', '20261120T2330']);
    // Monday the 16th and Sunday the 15th are of two weeks; a week without a set takes no place.
    expect(kept(sets, { keepWeekly: 3 })).toEqual(['20261121T0800', '20261115T2359', '20261031T2200']);
    expect(kept(sets, { keepMonthly: 2 })).toEqual(['20261121T0800', '20261031T2200']);
  });

  it('say why they keep a set, every one of them, and that none keeps it', () => {
    const [today, yesterday] = judgeRetention([daysAgo(0), daysAgo(1)], { keepLast: 1, keepDaily: 1, keepMonthly: 1 }, NOW);
    expect(today?.reasons).toEqual(['the last one', 'day 2026-11-21', 'month 2026-11']);
    expect(yesterday).toMatchObject({ keep: false, reasons: ['no rule keeps it'] });
  });

  it('are no reason to be left without a good set', () => {
    const old = [daysAgo(40), daysAgo(41), daysAgo(42)];
    expect(kept(old, { keepWithin: DAY_MS })).toEqual(ids(old.slice(0, 1)));
    expect(kept(old, { keepWithin: DAY_MS, minimumGood: 2 })).toEqual(ids(old.slice(0, 2)));
  });
});

describe('whatever the rules say', () => {
  it('protected sets, and those that something reads, stay', () => {
    const sets = [daysAgo(0), daysAgo(1, { isProtected: true }), daysAgo(2, { readBy: 'restore-1' }), daysAgo(3)];
    const verdicts = judgeRetention(sets, { keepLast: 1 }, NOW);
    expect(verdicts.map(({ keep }) => keep)).toEqual([true, true, true, false]);
    expect(verdicts[1]?.reasons).toEqual(['protected']);
    expect(verdicts[2]?.reasons).toEqual(['restore-1 has yet to read it']);
  });

  it('a set stays that one which is kept needs, directly or not, with its name', () => {
    const [base, middle] = [daysAgo(9), daysAgo(8)];
    const sets = [daysAgo(0, { uses: [middle.setId] }), { ...middle, uses: [base.setId] }, base, daysAgo(10)];
    const verdicts = judgeRetention(sets, { keepLast: 1 }, NOW);
    expect(verdicts.map(({ keep }) => keep)).toEqual([true, true, true, false]);
    expect(verdicts[1]?.reasons).toEqual([`${sets[0]?.setId} needs it`]);
  });

  it('a set that has lost a part takes no place of a good one, and stays as long as one would', () => {
    const sets = [daysAgo(0), daysAgo(1, { state: 'incomplete' }), daysAgo(2), daysAgo(3, { state: 'incomplete' }), daysAgo(4)];
    expect(kept(sets, { keepLast: 2 })).toEqual(ids([sets[0], sets[1], sets[2]].filter((set) => set !== undefined)));
  });

  it('a set from the future stays and takes no place: the one that was just made is not removed in its favour', () => {
    const [ahead, fresh, old] = [daysAgo(-365), daysAgo(0), daysAgo(1)];
    const verdicts = judgeRetention([ahead, fresh, old], { keepLast: 1 }, NOW);
    expect(verdicts.map(({ setId, keep }) => [setId, keep])).toEqual([
      [ahead.setId, true],
      [fresh.setId, true],
      [old.setId, false],
    ]);
    expect(verdicts[0]?.reasons).toEqual(['cut in the future, by the clock of this host']);
    expect(kept([ahead, old], { keepWithin: HOUR_MS })).toEqual(ids([ahead, old]));
  });

  it('a clock that has gone back to the beginning of time removes nothing', () => {
    const week = [0, 1, 2, 3].map((days) => daysAgo(days));
    expect(judgeRetention(week, { keepLast: 1 }, new Date(0)).map(({ keep }) => keep)).toEqual([true, true, true, true]);
  });

  it('a lost disk is no reason to remove what the other nodes hold', () => {
    const sets = [daysAgo(0), ...[1, 2, 3, 4, 5, 6].map((days) => daysAgo(days, { state: 'incomplete' }))];
    expect(kept(sets, { keepLast: 7 })).toEqual(ids(sets));
  });
});

describe('weeks', () => {
  it.each([
    ['2026-11-21', '2026-W47'],
    ['2026-01-01', '2026-W01'],
    ['2027-01-01', '2026-W53'],
    ['2027-01-03', '2026-W53'],
    ['2027-01-04', '2027-W01'],
    ['2024-12-30', '2025-W01'],
  ])('%s is in %s', (day, week) => {
    expect(calendarWeek(new Date(`${day}T12:00:00Z`))).toBe(week);
  });
});

/** Sets over two years, each of which may need some that are older. */
const someSets = fc
  .array(
    fc.record({
      hours: fc.integer({ min: 0, max: 24 * 730 }),
      state: fc.constantFrom('good' as const, 'good' as const, 'incomplete' as const),
      isProtected: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      readBy: fc.integer({ min: 0, max: 19 }).map((n) => (n === 0 ? 'restore-1' : '')),
      uses: fc.array(fc.nat({ max: 5 }), { maxLength: 2 }),
    }),
    { maxLength: 40 },
  )
  .map((drawn) => {
    const oldestFirst = drawn.toSorted((a, b) => b.hours - a.hours);
    const id = (at: number): string => `set-${String(at).padStart(3, '0')}`;
    return oldestFirst.map(
      ({ hours, uses, ...set }, at): RetainedSet => ({
        ...set,
        setId: id(at),
        cutAt: new Date(NOW.getTime() - hours * HOUR_MS).toISOString(),
        uses: uses.filter((back) => back > 0 && at - back >= 0).map((back) => id(at - back)),
      }),
    );
  });
const someRules = fc.record(
  {
    keepLast: fc.integer({ min: 1, max: 10 }),
    keepWithin: fc.integer({ min: 0, max: 90 * DAY_MS }),
    keepDaily: fc.integer({ min: 1, max: 14 }),
    keepWeekly: fc.integer({ min: 1, max: 10 }),
    keepMonthly: fc.integer({ min: 1, max: 12 }),
    minimumGood: fc.integer({ min: 1, max: 8 }),
  },
  { requiredKeys: [] },
);
/** For any sets and any rules. */
const always = (holds: (sets: readonly RetainedSet[], rules: RetentionRules, kept: ReadonlySet<string>) => void): void => {
  fc.assert(
    fc.property(someSets, someRules, (sets, rules) => holds(sets, rules, new Set(kept(sets, rules)))),
    { numRuns: 400 },
  );
};
const goodOf = (sets: readonly RetainedSet[]): RetainedSet[] =>
  sets
    .filter(({ state }) => state === 'good')
    .toSorted((a, b) => (a.cutAt === b.cutAt ? (a.setId < b.setId ? 1 : -1) : a.cutAt < b.cutAt ? 1 : -1));

describe('for any sets and rules', () => {
  it('every set is judged once, newest first, with a reason', () => {
    always((sets, rules) => {
      const verdicts = judgeRetention(sets, rules, NOW);
      expect(verdicts.map(({ setId }) => setId).toSorted()).toEqual(ids(sets).toSorted());
      expect(verdicts.every(({ reasons }) => reasons.length > 0)).toBe(true);
      const cuts = verdicts.map(({ cutAt }) => cutAt);
      expect(cuts).toEqual(cuts.toSorted().reverse());
    });
  });

  it('the newest good set and the minimum of good sets are kept', () => {
    always((sets, rules, keeps) => {
      const floor = goodOf(sets).slice(0, Math.max(1, rules.minimumGood ?? 1));
      for (const { setId } of floor) expect(keeps).toContain(setId);
    });
  });

  it('no protected set is removed, none that is read, none that a kept one needs', () => {
    always((sets, _rules, keeps) => {
      for (const { setId, isProtected, readBy, uses } of sets) {
        if (isProtected || readBy !== '') expect(keeps).toContain(setId);
        if (keeps.has(setId)) for (const used of uses) expect(keeps).toContain(used);
      }
    });
  });

  it('what is kept would be kept again', () => {
    always((sets, rules, keeps) => {
      const left = sets.filter(({ setId }) => keeps.has(setId));
      expect(new Set(kept(left, rules))).toEqual(keeps);
    });
  });

  it('without the oldest set, of the others the same are kept, but for what that one needed', () => {
    always((sets, rules, keeps) => {
      const [, ...rest] = sets;
      const expected = rest.filter(({ setId }) => keeps.has(setId)).map(({ setId }) => setId);
      expect(kept(rest, rules).toSorted()).toEqual(expected.toSorted());
    });
  });

  it('the order in which they are given does not matter', () => {
    always((sets, rules, keeps) => {
      expect(new Set(kept(sets.toReversed(), rules))).toEqual(keeps);
    });
  });

  it('a rule more, or a larger one, never removes a set that was kept', () => {
    always((sets, rules, keeps) => {
      fc.pre(Object.keys(rules).some((key) => key !== 'minimumGood'));
      const larger = { ...rules, keepLast: (rules.keepLast ?? 0) + 1, keepMonthly: (rules.keepMonthly ?? 0) + 1 };
      const more = new Set(kept(sets, larger));
      for (const setId of keeps) expect(more).toContain(setId);
    });
  });

  it('a set that has lost a part pushes no good one out', () => {
    always((sets, rules, keeps) => {
      const good = sets.filter(({ state }) => state === 'good');
      for (const setId of kept(good, rules)) expect(keeps).toContain(setId);
    });
  });

  it('sets are removed before those that they need', () => {
    always((sets) => {
      const order = removalOrder(sets.toReversed());
      expect(ids(order).toSorted()).toEqual(ids(sets).toSorted());
      order.forEach(({ uses }, at) => {
        for (const used of uses) expect(ids(order).indexOf(used)).toBeGreaterThan(at);
      });
    });
  });
});

it('a set that needs a newer one, by clocks that went back, is removed before it', () => {
  const [newer, older] = [daysAgo(0), daysAgo(1)];
  expect(ids(removalOrder([newer, { ...older, uses: [newer.setId] }]))).toEqual([older.setId, newer.setId]);
});

it('sets that need each other in a circle are removed all the same', () => {
  expect(ids(removalOrder([daysAgo(0, { setId: 'a', uses: ['b'] }), daysAgo(1, { setId: 'b', uses: ['a'] })]))).toEqual(['a', 'b']);
});
