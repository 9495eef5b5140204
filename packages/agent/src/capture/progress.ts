type Report = (bytesDone: number, bytesTotal: number) => void;

/**
 * Adds up the progress of works that run at the same time, each with a reporter of its own. As long as one that has begun does not know its
 * total, there is none.
 */
export function addedUp(report: Report): () => Report {
  const works = new Map<symbol, { readonly done: number; readonly total: number }>();
  return () => {
    const work = Symbol('work');
    return (done, total) => {
      works.set(work, { done, total });
      const all = [...works.values()];
      const sum = (key: 'done' | 'total'): number => all.reduce((bytes, each) => bytes + each[key], 0);
      report(sum('done'), all.some((each) => each.total === 0) ? 0 : sum('total'));
    };
  };
}
