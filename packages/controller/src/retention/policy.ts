import type { SetState } from '../api.ts';
import { calendarDay, calendarMonth, calendarWeek } from './calendar.ts';

/** A set as far as it matters to what is kept. */
export interface RetainedSet {
  readonly setId: string;
  /** The moment that it shows, ISO 8601. */
  readonly cutAt: string;
  /** `failed` ones are not judged: there is nothing in them that could be kept. */
  readonly state: Exclude<SetState, 'failed'>;
  /** Every other set that holds bytes which this one needs. */
  readonly uses: readonly string[];
  readonly isProtected: boolean;
  /** What reads it at present, for people; empty for nothing. */
  readonly readBy: string;
}

/** What is kept; a set that none of these keeps is removed. Without any of them but `minimumGood`, everything is kept. */
export interface RetentionRules {
  /** The newest so many. */
  readonly keepLast?: number | undefined;
  /** Those that were cut within so many milliseconds. */
  readonly keepWithin?: number | undefined;
  /** The newest of each day, for the newest so many days that have one. Days, weeks and months are those of UTC. */
  readonly keepDaily?: number | undefined;
  /** The newest of each week, Monday to Sunday. */
  readonly keepWeekly?: number | undefined;
  /** The newest of each month. */
  readonly keepMonthly?: number | undefined;
  /** So many of the newest good sets stay, whatever the rules say; at least 1. */
  readonly minimumGood?: number | undefined;
}

/** Whether a set is kept, and why, a few words each. */
export interface Verdict {
  readonly setId: string;
  readonly cutAt: string;
  readonly state: RetainedSet['state'];
  readonly keep: boolean;
  readonly reasons: readonly string[];
}

/** True when a rule says what to keep. */
export const hasRules = ({ keepLast, keepWithin, keepDaily, keepWeekly, keepMonthly }: RetentionRules): boolean =>
  [keepLast, keepWithin, keepDaily, keepWeekly, keepMonthly].some((rule) => rule !== undefined);

/**
 * Judges sets by rules, newest first. Only good sets take the places that the rules give. One that has lost a part stays for as long
 * as it would if it were good: other nodes can be restored from it, and when a disk is lost all sets are such. One that was cut after `now` stays
 * and takes no place: a clock was wrong, then or now, and the sets that it seems to be newer than may be the newer ones. Pure.
 */
export function judgeRetention(sets: readonly RetainedSet[], rules: RetentionRules, now: Date): Verdict[] {
  const newestFirst = [...sets].sort((a, b) => Date.parse(b.cutAt) - Date.parse(a.cutAt) || (a.setId < b.setId ? 1 : -1));
  const isAhead = ({ cutAt }: Pick<RetainedSet, 'cutAt'>): boolean => Date.parse(cutAt) > now.getTime();
  const past = newestFirst.filter((set) => !isAhead(set));
  const good = past.filter(({ state }) => state === 'good');
  const byRules = { good: keptByRules(good, rules, now), all: keptByRules(past, rules, now) };
  const floor = new Map(good.slice(0, Math.max(1, rules.minimumGood ?? 1)).map(({ setId }, at) => [setId, floorReason(at, rules)]));
  const reasons = new Map<string, string[]>();
  for (const { setId, cutAt, state, isProtected, readBy } of newestFirst) {
    const ruled = (state === 'good' ? byRules.good : byRules.all).get(setId) ?? [];
    const why = [
      ...(hasRules(rules) ? ruled : ['no rule is set']),
      ...(ruled.length === 0 && floor.has(setId) ? [floor.get(setId) ?? ''] : []),
      ...(isAhead({ cutAt }) ? ['cut in the future, by the clock of this host'] : []),
      ...(isProtected ? ['protected'] : []),
      ...(readBy === '' ? [] : [`${readBy} has yet to read it`]),
    ];
    if (why.length > 0) reasons.set(setId, why);
  }
  keepNeeded(newestFirst, reasons);
  return newestFirst.map(({ setId, cutAt, state }) => {
    const why = reasons.get(setId);
    return { setId, cutAt, state, keep: why !== undefined, reasons: why ?? ['no rule keeps it'] };
  });
}

const floorReason = (at: number, { minimumGood = 1 }: RetentionRules): string =>
  at === 0 ? 'the newest good set' : `one of the ${minimumGood} newest good sets`;

/** Adds the sets that kept ones need, and those that they need in turn. */
function keepNeeded(sets: readonly RetainedSet[], reasons: Map<string, string[]>): void {
  const byId = new Map(sets.map((set) => [set.setId, set]));
  const queue = sets.filter(({ setId }) => reasons.has(setId));
  for (let user = queue.shift(); user !== undefined; user = queue.shift()) {
    for (const used of user.uses) {
      const set = byId.get(used);
      if (set === undefined || used === user.setId) continue;
      const before = reasons.get(used);
      if (before === undefined) queue.push(set);
      reasons.set(used, [...(before ?? []), `${user.setId} needs it`]);
    }
  }
}

/** Why the rules keep each of the sets that they keep. */
function keptByRules(newestFirst: readonly RetainedSet[], rules: RetentionRules, now: Date): Map<string, string[]> {
  const reasons = new Map<string, string[]>();
  const keep = ({ setId }: RetainedSet, why: string): void => void reasons.set(setId, [...(reasons.get(setId) ?? []), why]);
  const { keepLast = 0, keepWithin } = rules;
  for (const set of newestFirst.slice(0, keepLast)) keep(set, keepLast === 1 ? 'the last one' : `one of the last ${keepLast}`);
  for (const set of newestFirst)
    if (keepWithin !== undefined && Date.parse(set.cutAt) >= now.getTime() - keepWithin) keep(set, 'young enough');
  const periods = [
    { count: rules.keepDaily, of: calendarDay, word: 'day' },
    { count: rules.keepWeekly, of: calendarWeek, word: 'week' },
    { count: rules.keepMonthly, of: calendarMonth, word: 'month' },
  ];
  for (const { count = 0, of, word } of periods) {
    const newest = new Map<string, RetainedSet>();
    for (const set of newestFirst) {
      const period = of(new Date(set.cutAt));
      if (!newest.has(period)) newest.set(period, set);
    }
    for (const [period, set] of [...newest].slice(0, count)) keep(set, `${word} ${period}`);
  }
  return reasons;
}

/** The order in which sets can be removed one by one: those that need others before the others. Newest first otherwise. Pure. */
export function removalOrder<S extends Pick<RetainedSet, 'setId' | 'uses'>>(newestFirst: readonly S[]): S[] {
  const left = [...newestFirst];
  const order: S[] = [];
  while (left.length > 0) {
    const free = left.findIndex(({ setId }) => !left.some((other) => other.setId !== setId && other.uses.includes(setId)));
    order.push(...left.splice(Math.max(0, free), 1));
  }
  return order;
}
