import { type Clock, systemClock } from '@stillpoint/shared/time';
import { createControl } from '../../packages/agent/src/columnstore/suspend/control.ts';
import { dbrmctlDriver } from '../../packages/agent/src/columnstore/suspend/dbrmctl-driver.ts';
import type { ControlParts } from '../../packages/agent/src/columnstore/suspend/parts.ts';
import type { Bound, EngineControl, SuspendTerms } from '../../packages/agent/src/columnstore/suspend/types.ts';
import type { Engine } from '../../packages/agent/src/columnstore/types.ts';
import type { EnginePrograms } from './engine-programs.ts';

/** A signal that nobody aborts. */
export const { signal: noSignal } = new AbortController();

/** What a control of these programs works with, by dbrmctl. */
export function partsOf(programs: EnginePrograms, facts: Partial<Engine> = {}, clock: Clock = systemClock): ControlParts {
  const engine = programs.engine(facts);
  const processes = (names: readonly string[]) => Promise.resolve(programs.processes.filter(({ name }) => names.includes(name)));
  return { engine, driver: dbrmctlDriver(engine), processes, clock };
}

/** The control of a node with these programs, by dbrmctl. */
export const controlOf = (programs: EnginePrograms, facts?: Partial<Engine>, clock?: Clock): EngineControl =>
  createControl(partsOf(programs, facts, clock));

/** 5 seconds, unless said otherwise. */
export const bound = (timeoutMs = 5_000, clock: Clock = systemClock): Bound => ({ timeoutMs, clock, signal: noSignal });

/** Terms of a suspension that nobody wants to know of beforehand. */
export const suspendTerms = (terms: Partial<SuspendTerms> = {}): SuspendTerms => ({
  ...bound(),
  refuseCpimport: false,
  beforeFlag: () => Promise.resolve(),
  ...terms,
});

/** A clock that goes on by as much as one sleeps, at once; `then` is called each time, with the number of times. */
export function onSleep(then: (nth: number) => void = () => undefined): Clock {
  let nth = 0;
  let sleptMs = 0;
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + sleptMs,
    sleep: async (ms, signal) => {
      nth += 1;
      sleptMs += ms;
      then(nth);
      await systemClock.sleep(0, signal);
    },
  };
}
