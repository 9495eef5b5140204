import type { PhaseLength } from './phase.ts';

/** How long a phase of a backup took, as the controller saw it. */
export interface PhaseTime extends PhaseLength {
  readonly phase: string;
  readonly blocksWriters: boolean;
}

/** How long the phases of an operation took, in their order. */
export class PhaseTimes {
  readonly #times: PhaseTime[] = [];

  /** Takes down a phase that is over. */
  add(time: PhaseTime): void {
    this.#times.push(time);
  }

  get all(): readonly PhaseTime[] {
    return this.#times;
  }

  /** Where it stands now, for `rewind`. */
  mark(): number {
    return this.#times.length;
  }

  /** Forgets what came after a mark: an attempt that is made again. */
  rewind(mark: number): void {
    this.#times.length = mark;
  }
}

/** What made writers wait, longest first, each with the node that took longest: for people who ask where the time went. Pure. */
export function whatTookTheTime(times: readonly PhaseTime[]): string {
  const blocking = times.filter(({ blocksWriters }) => blocksWriters).toSorted((a, b) => b.ms - a.ms);
  return blocking.map((time) => `${time.phase} ${seconds(time.ms)}${slowestText(time)}`).join(', ');
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;

function slowestText({ nodes, ended }: PhaseTime): string {
  const [slowest] = nodes.toSorted((a, b) => b.ms - a.ms);
  const where = slowest === undefined ? [] : [slowest.node];
  const notes = [...where, ...(ended ? [] : ['not ended'])];
  return notes.length === 0 ? '' : ` (${notes.join(', ')})`;
}
