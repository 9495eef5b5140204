import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { toStillpointError } from '@stillpoint/shared/errors';
import { systemClock } from '@stillpoint/shared/time';
import type { Agent } from '../../packages/agent/src/agent.ts';
import { createCaptures } from '../../packages/agent/src/capture/index.ts';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import type { Hold } from '../../packages/agent/src/hold/types.ts';
import { acquireLock } from '../../packages/agent/src/mariadb/lock.ts';
import { accountOf } from '../../packages/agent/src/mariadb/session.ts';
import { openSnapshots, type Snapshots } from '../../packages/agent/src/mariadb/snapshots.ts';
import type { TaskContext } from '../../packages/agent/src/task/types.ts';

/** A server as an agent would find it. */
export interface ServerPlace {
  readonly directory: string;
  readonly defaultsFile: string;
  readonly socket: string;
}

export interface NodeOptions {
  readonly user?: string;
  readonly passwordFile?: string;
  readonly repository?: string;
  readonly configuration?: readonly string[];
}

/** An agent as its tasks see it, with a hold that the test puts in. */
export interface TestNode {
  readonly agent: Agent;
  readonly repository: string;
  /** Takes the lock, past the gate if anything waits there, opens snapshots, and makes it the hold of the operation. */
  hold(timeoutMs?: number): Promise<TestHold>;
}

export interface TestHold extends Hold {
  release(): Promise<void>;
}

export const OPERATION = 'backup-20261121-090000-00000001';
export const SET = '20261121-090000-00000002';

const quiet = (): void => undefined;
const silent = { debug: quiet, info: quiet, warn: quiet, error: quiet } as unknown as Agent['log'];

export function testNode(server: ServerPlace, options: NodeOptions = {}): TestNode {
  const repository = options.repository ?? join(server.directory, 'repository');
  const config = agentConfigSchema.parse({
    cluster: 'test',
    node: 'n1',
    stateDir: join(server.directory, 'agent-state'),
    repository,
    tls: { ca: '/nowhere', cert: '/nowhere', key: '/nowhere' },
    mariadb: {
      defaultsFile: server.defaultsFile,
      socket: server.socket,
      user: options.user ?? 'root',
      ...(options.passwordFile === undefined ? {} : { passwordFile: options.passwordFile }),
      service: { driver: 'commands', start: ['false'], stop: ['false'] },
    },
    configuration: options.configuration ?? [],
    columnstore: { config: join(server.directory, 'no-columnstore.xml') },
  });
  mkdirSync(repository, { recursive: true });
  const holds = new Map<string, Hold>();
  const agent: Agent = {
    config,
    clock: systemClock,
    log: silent,
    holds: {
      get: (id) => holds.get(id),
      require: (id) => {
        const hold = holds.get(id);
        if (hold === undefined) throw new Error(`no hold of ${id}`);
        return hold;
      },
    },
    captures: createCaptures(),
  };
  const hold = async (timeoutMs = 5_000): Promise<TestHold> => {
    const taken = await takeHold(agent, timeoutMs);
    holds.set(OPERATION, taken);
    return taken;
  };
  return { agent, repository, hold };
}

async function takeHold({ captures, config, clock }: Agent, timeoutMs: number): Promise<TestHold> {
  if (config.mariadb === undefined) throw new Error('the test node has a server');
  const { signal } = new AbortController();
  const account = accountOf(config.mariadb);
  const since = clock.monotonicMs();
  const gate = captures.get(OPERATION)?.gate;
  await gate?.prepare(signal);
  const lock = await acquireLock(account, { timeoutMs, leaseMs: 30_000, gate, clock, signal });
  const snapshots: Snapshots = await openSnapshots(account, { include: [], exclude: [], connections: 2, signal });
  let releasedMs: number | undefined;
  return {
    operationId: OPERATION,
    lock,
    position: lock.position,
    sources: lock.sources,
    snapshots,
    stand: undefined,
    lost: lock.lost,
    get inForce() {
      return releasedMs === undefined && !lock.lost.aborted;
    },
    lockWaitMs: lock.waitedMs,
    get blockedMs() {
      return releasedMs ?? clock.monotonicMs() - since;
    },
    release: async () => {
      releasedMs ??= clock.monotonicMs() - since;
      gate?.refused();
      await lock.release();
    },
  };
}

/** What a task may use; remembers what it said. */
export interface TestTask extends TaskContext {
  readonly messages: string[];
  readonly steps: { readonly step: string; readonly done: number; readonly total: number }[];
}

export function testTask(taskId: string, signal: AbortSignal = new AbortController().signal): TestTask {
  const messages: string[] = [];
  const steps: TestTask['steps'] = [];
  return {
    operationId: OPERATION,
    taskId,
    signal,
    messages,
    steps,
    progress: (step, done, total) => void steps.push({ step, done, total }),
    log: (message) => void messages.push(message),
  };
}

/** The error of something that must fail. */
export const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    (value) => {
      throw new Error(`it did not fail but gave ${JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v))}`);
    },
    (error: unknown) => toStillpointError(error),
  );
