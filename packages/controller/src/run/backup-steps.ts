import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import { decodePartManifest, sha256Of } from '@stillpoint/shared/manifest';
import {
  type CaptureOptionsSchema,
  DbrootStrategy,
  type HoldAdvanced,
  HoldPhase,
  type MariadbPosition,
  PrecopyStorage,
  ServerStrategy,
  type TaskResult,
} from '@stillpoint/shared/proto';
import { untilAnswered } from '../agents/contact.ts';
import { type NodeHold, readyHold } from '../agents/hold.ts';
import { type Scope, unlessAborted } from '../agents/scope.ts';
import { runTask, type TaskOrder } from '../agents/task.ts';
import type { CaptureStrategy } from '../plan/capture-strategies.ts';
import type { BackupStep } from '../plan/steps.ts';
import type { BackupRun } from './backup-run.ts';
import { requireUnmoved } from './engine-stand.ts';
import { requireFit } from './fitness.ts';
import type { Precopied } from './precopy.ts';
import { releaseHold } from './release.ts';
import { storageOptions } from './storage-options.ts';

/** Carries out one step. The scope's signal stops it. */
export type BackupExecutor = (run: BackupRun, step: BackupStep, scope: Scope) => Promise<void>;

/** How long to look for an agent whose answer to a commit was lost, ms. */
const COMMIT_PATIENCE_MS = 10_000;

/** One executor per kind of step; a kind without one does not compile. */
export const backupExecutors = {
  check: (run, { node }, { signal }) => requireFit(run.agents.get(node), 'backup', signal),
  precopy,
  ready,
  park: async (run, { node }, scope) => {
    const attempt = run.operation.steps.get('park', '')?.attempt ?? 1;
    await bringOver(run, node, `park-${attempt}`, PrecopyStorage.SERVER, scope);
  },
  quiesce,
  drain: async (run, { node }, scope) => {
    await advance(run, node, HoldPhase.DRAIN, run.settings.columnstore.drainTimeout, scope);
  },
  suspend,
  // The agents know who suspends: all others look at what they see of it.
  confirm: suspend,
  flush: async (run, { node }, scope) => {
    await advance(run, node, HoldPhase.FLUSH, run.settings.maxBlock, scope);
  },
  capture,
  attest,
  resume,
  publish,
  commit,
} satisfies { readonly [K in BackupStep['kind']]: BackupExecutor };

/** Once or more before every attempt at the still point, as another task each time: the agent brings up to date what it has. */
async function precopy(run: BackupRun, { node }: BackupStep, scope: Scope): Promise<void> {
  const attempt = run.operation.steps.get('precopy', '')?.attempt ?? 1;
  const planned = run.plan.nodes.find((other) => other.node === node);
  // First: what has changed in dbroots meanwhile costs writers more.
  if (planned?.captures.some(({ strategy }) => strategy === 'increment'))
    await bringOver(run, node, `precopy-server-${attempt}`, PrecopyStorage.SERVER, scope);
  if (planned?.dbroots.length === 0) return;
  const pass = await bringOver(run, node, `precopy-${attempt}`, PrecopyStorage.DBROOTS, scope);
  run.precopied.set(node, [...(run.precopied.get(node) ?? []), pass]);
}

async function bringOver(run: BackupRun, node: string, taskId: string, storage: PrecopyStorage, scope: Scope): Promise<Precopied> {
  const { result } = await task(run, node, scope, taskId, {
    task: { case: 'precopy', value: { setId: run.setId, options: captureOptions(run, node), storage } },
  });
  if (result.case !== 'precopy') throw new StillpointError('INTERNAL', `${node}: ${taskId} ended without a result`, { node });
  const { bytes, changedBytes, took } = result.value;
  return { bytes: Number(bytes), changedBytes: Number(changedBytes), ms: took === undefined ? 0 : durationMs(took) };
}

function captureOptions({ plan, settings }: BackupRun, node: string): MessageInitShape<typeof CaptureOptionsSchema> {
  const { parallel } = settings;
  const planned = plan.nodes.find((other) => other.node === node)?.captures ?? [];
  const server = planned.find(({ storage }) => storage === 'server')?.strategy;
  return {
    server: SERVER_STRATEGIES.get(server ?? 'locked') ?? ServerStrategy.LOCKED,
    dbroots: planned
      .filter(({ dbroot }) => dbroot !== 0)
      .map(({ dbroot, strategy }) => ({ number: dbroot, strategy: DBROOT_STRATEGIES.get(strategy) ?? DbrootStrategy.LOCKED })),
    parallel,
    parentSet: plan.parent ?? '',
    maxChain: settings.incremental.maxChain,
    ...storageOptions(plan.storage),
  };
}

const SERVER_STRATEGIES: ReadonlyMap<CaptureStrategy, ServerStrategy> = new Map([
  ['gate', ServerStrategy.GATE],
  ['increment', ServerStrategy.INCREMENT],
]);

const DBROOT_STRATEGIES: ReadonlyMap<CaptureStrategy, DbrootStrategy> = new Map([
  ['reflink', DbrootStrategy.REFLINK],
  ['precopy', DbrootStrategy.PRECOPY],
]);

async function ready(
  { agents, operation, plan, ready: readyHolds, settings }: BackupRun,
  { node }: BackupStep,
  scope: Scope,
): Promise<void> {
  const { enabled, include, exclude, connections } = settings.checksums;
  const terms = {
    operationId: operation.id,
    lockTimeoutMs: settings.lockTimeout,
    leaseMs: settings.lease,
    maxBlockMs: settings.maxBlock,
    engine: plan.phases.some(({ phase, nodes }) => phase === 'drain' && nodes.includes(node)),
    ...(enabled ? { checksums: { include, exclude, connections } } : {}),
    ...(settings.probe.enabled ? { probeEveryMs: settings.probe.every } : {}),
  };
  readyHolds.set(node, await readyHold(agents.get(node), terms, operation.clock, scope.signal));
}

async function quiesce({ holds, ready: readyHolds }: BackupRun, { node }: BackupStep, scope: Scope): Promise<void> {
  const waiting = readyHolds.get(node);
  if (waiting === undefined) throw new Error(`${node} is asked for its lock before it was made ready`);
  const hold = await waiting.take(scope.signal);
  holds.set(node, hold);
  // From now on, a hold that is lost on one node is the end for all.
  hold.lost.addEventListener('abort', () => scope.fail(hold.lost.reason as StillpointError), { once: true });
}

function advance(run: BackupRun, node: string, phase: HoldPhase, timeoutMs: number, { signal }: Scope): Promise<HoldAdvanced> {
  const refuseCpimport = run.settings.columnstore.cpimport === 'refuse';
  return unlessAborted(holdOf(run, node).advance({ phase, refuseCpimport }, timeoutMs), signal);
}

async function suspend(run: BackupRun, { node }: BackupStep, scope: Scope): Promise<void> {
  run.suspending.add(node);
  const { engine } = await advance(run, node, HoldPhase.SUSPEND, run.settings.maxBlock, scope);
  if (engine === undefined)
    throw new StillpointError('SUSPEND_FAILED', `${node}: the agent did not tell how the suspended engine stands`, { node });
  run.stands.set(node, engine);
}

async function capture(run: BackupRun, { node }: BackupStep, scope: Scope): Promise<void> {
  const { result } = await task(run, node, scope, 'capture', {
    task: { case: 'capture', value: { setId: run.setId, options: captureOptions(run, node) } },
  });
  const under = holdOf(run, node).acquired.position;
  const recorded = result.case === 'capture' ? result.value.position : undefined;
  if (under?.logBin === true && (under.file !== recorded?.file || under.offset !== recorded.offset)) {
    throw new StillpointError('CAPTURE_MOVED', `${node}: the lock was at ${text(under)}, the image is of ${text(recorded)}`, { node });
  }
}

async function attest(run: BackupRun, { node }: BackupStep, { signal }: Scope): Promise<void> {
  const hold = holdOf(run, node);
  const { connectionId, engine, position } = await unlessAborted(hold.attest(), signal);
  if (connectionId !== hold.acquired.connectionId) {
    throw new StillpointError('ATTEST_FAILED', `${node}: connection ${hold.acquired.connectionId} held the lock, ${connectionId} answers`, {
      node,
    });
  }
  if (!samePosition(hold.acquired.position, position)) {
    throw new StillpointError(
      'ATTEST_FAILED',
      `${node}: the log moved from ${text(hold.acquired.position)} to ${text(position)} under the lock`,
      {
        node,
      },
    );
  }
  const suspended = run.stands.get(node);
  if (suspended !== undefined) requireUnmoved(node, suspended, engine);
}

async function resume(run: BackupRun, { node }: BackupStep): Promise<void> {
  const hold = run.holds.get(node);
  if (hold !== undefined) await releaseHold(run, hold);
}

async function publish(run: BackupRun, { node }: BackupStep, scope: Scope): Promise<void> {
  const { result } = await task(run, node, scope, 'publish', { task: { case: 'publish', value: { setId: run.setId } } });
  if (result.case !== 'publish') throw new StillpointError('INTERNAL', `${node}: publish ended without a result`, { node });
  const { manifest, partSha256: sha256 } = result.value;
  const part = decodePartManifest(manifest, `${node}: part.json`);
  if (sha256Of(manifest) !== sha256 || part.node !== node || part.setId !== run.setId || part.cluster !== run.plan.cluster) {
    throw new StillpointError('MANIFEST_INVALID', `${node}: part.json is not that of this part`, { node });
  }
  run.parts.set(node, { part, sha256 });
}

async function commit({ agents, operation, set, setId }: BackupRun, { node }: BackupStep, { signal }: Scope): Promise<void> {
  if (set === undefined) throw new Error('a commit before the set was composed');
  const { bytes: manifest } = set;
  // Idempotent: an answer that was lost is asked for again.
  await untilAnswered(operation.clock, COMMIT_PATIENCE_MS, signal, () =>
    agents.get(node).rpc.commitSet({ operationId: operation.id, setId, manifest }, { signal }),
  );
}

function task(
  { agents, operation }: BackupRun,
  node: string,
  { signal }: Scope,
  taskId: string,
  spec: Awaited<ReturnType<TaskOrder['spec']>>,
): Promise<TaskResult> {
  const { clock, id: operationId, observe } = operation;
  return runTask(agents.get(node), { operationId, taskId, spec: async () => spec }, { clock, observe, signal });
}

function holdOf({ holds }: BackupRun, node: string): NodeHold {
  const hold = holds.get(node);
  if (hold === undefined) throw new Error(`no hold on ${node}`);
  return hold;
}

const samePosition = (a: MariadbPosition | undefined, b: MariadbPosition | undefined): boolean =>
  a?.file === b?.file && a?.offset === b?.offset && a?.gtidBinlogPos === b?.gtidBinlogPos && a?.gtidSlavePos === b?.gtidSlavePos;

const text = (position: MariadbPosition | undefined): string =>
  position === undefined ? 'no position' : `${position.file}:${position.offset} (${position.gtidBinlogPos})`;
