/** One line of the benchmark. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: 'ms' | 's' | 'MB/s' | 'MB' | 'x';
  /** Smallest and largest of the rounds; absent for a single measurement. */
  readonly spread?: readonly [number, number];
  readonly note?: string;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** The median of the rounds, with their spread. */
export const figure = (name: string, unit: Figure['unit'], values: readonly number[], note?: string): Figure => ({
  name,
  unit,
  value: median(values),
  spread: [Math.min(...values), Math.max(...values)],
  ...(note === undefined ? {} : { note }),
});

/** Runs both of a pair in each round, by turns in either order, so that a machine that slows down slows both. */
export async function pairs<A, B>(rounds: number, one: () => Promise<A>, other: () => Promise<B>): Promise<[A, B][]> {
  const results: [A, B][] = [];
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) {
      const first = await one();
      results.push([first, await other()]);
    } else {
      const second = await other();
      results.push([await one(), second]);
    }
  }
  return results;
}

export const ratios = (results: readonly (readonly [number, number])[]): number[] => results.map(([one, other]) => one / other);

/** Milliseconds that `work` took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Largest of a value that is looked at again and again while `work` runs. */
export async function largestWhile<T>(look: () => number, work: () => Promise<T>): Promise<{ result: T; largest: number }> {
  let largest = look();
  const timer = setInterval(() => {
    largest = Math.max(largest, look());
  }, 50);
  try {
    return { result: await work(), largest };
  } finally {
    clearInterval(timer);
  }
}
