import { hostname } from 'node:os';
import { systemClock } from '@stillpoint/shared/time';
import { openEngine } from '../../packages/agent/src/columnstore/discovery/index.ts';
import type { FindProcesses } from '../../packages/agent/src/columnstore/engine/processes.ts';
import { openDriver } from '../../packages/agent/src/columnstore/suspend/choose.ts';
import { openControl } from '../../packages/agent/src/columnstore/suspend/index.ts';
import type { Bound, EngineControl, SuspendDriver, SuspendTerms } from '../../packages/agent/src/columnstore/suspend/types.ts';
import type { Engine } from '../../packages/agent/src/columnstore/types.ts';
import { agentConfigSchema, type ColumnstoreConfig } from '../../packages/agent/src/config/schema.ts';
import { processesNamed } from '../../packages/agent/src/host/index.ts';
import { type Double, type DoubleOptions, startDouble } from '../fixtures/columnstore/double.ts';
import type { Call } from '../fixtures/columnstore/state/model.ts';
import { ownProcesses } from '../harness/processes.ts';

/** A signal that nobody aborts. */
export const { signal: noSignal } = new AbortController();

/** The suspension of the agent on the primary of a double. */
export interface HeldEngine {
  readonly double: Double;
  readonly engine: Engine;
  readonly config: ColumnstoreConfig;
  readonly driver: SuspendDriver;
  /** A control of its own for each hold. */
  control(): EngineControl;
  /** Arguments of each call of a program since `begin`. */
  calls(program: string): readonly string[];
  /** Whose calls they were, since `begin`. */
  callers(program: string): readonly number[];
  /** Makes the double as it was in the beginning. */
  begin(): Promise<void>;
  remove(): Promise<void>;
}

export interface HeldOptions extends DoubleOptions {
  /** Setting `columnstore.suspend` of agent.yaml. */
  readonly suspend?: ColumnstoreConfig['suspend'];
}

/** Processes of this host that this test run has started: others may run engines of their own here. */
const ownEngines: FindProcesses = async (names) => {
  const own = new Set(ownProcesses().map(({ pid }) => pid));
  return (await processesNamed(names)).filter(({ pid }) => own.has(pid));
};

/** Starts a double with its programs in this process's PATH, and opens it as its agent would. */
export async function heldEngine({ suspend = 'auto', ...options }: HeldOptions = {}): Promise<HeldEngine> {
  const modules = options.modules ?? [[1]];
  const double = await startDouble({ ...options, addresses: modules.map(() => hostname()) });
  const path = process.env.PATH;
  process.env.PATH = double.primary.env.PATH;
  const config = agentConfigSchema.shape.columnstore.parse({ ...double.primary.columnstore, suspend });
  const engine = await openEngine({ columnstore: config }, () => Promise.resolve([]));
  if (engine === undefined) throw new Error('the double has a Columnstore.xml');
  let before = 0;
  const called = (program: string): readonly Call[] =>
    double
      .calls()
      .slice(before)
      .filter((call) => call.program === program);
  return {
    double,
    engine,
    config,
    driver: openDriver(engine, config),
    control: () => openControl({ engine, config, clock: systemClock, processes: ownEngines }),
    calls: (program) => called(program).map(({ args }) => args.join(' ')),
    callers: (program) => called(program).map(({ uid }) => uid),
    begin: async () => {
      await double.reset();
      before = double.calls().length;
    },
    remove: async () => {
      process.env.PATH = path;
      await double.stop();
    },
  };
}

/** Half a minute, unless said otherwise. */
export const bound = (timeoutMs = 30_000): Bound => ({ timeoutMs, clock: systemClock, signal: noSignal });

/** Terms of a drain or a suspension. */
export const terms = (given: Partial<SuspendTerms> = {}): SuspendTerms => ({
  ...bound(given.timeoutMs),
  refuseCpimport: false,
  beforeFlag: () => Promise.resolve(),
  ...given,
});

/** A table that an open transaction has written to; gives its end. */
export async function openTransaction({ double }: HeldEngine, table: string): Promise<{ commit(): Promise<void> }> {
  await double.createTable(table);
  const session = double.session();
  await session.query('START TRANSACTION');
  await session.query(`INSERT INTO ${table} VALUES (1)`);
  return {
    commit: async () => {
      await session.query('COMMIT');
      session.close();
    },
  };
}
