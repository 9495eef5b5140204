import { durationMs } from '@bufbuild/protobuf/wkt';
import { readSecret } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import type { ReplicateTask, ReplicationSource } from '@stillpoint/shared/proto';
import { sameGtidPosition } from '@stillpoint/shared/replication';
import type { Agent } from '../agent.ts';
import { readPosition } from '../mariadb/position.ts';
import { followSource, type ReplicaState, replicaState, type SourceAccount, startReplication } from '../mariadb/replication.ts';
import { accountOf, openSession, type Session } from '../mariadb/session.ts';
import { SqlFailure } from '../mariadb/sql-failure.ts';
import type { TaskDefinition } from '../task/types.ts';
import { mariadbOf } from './target.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
const POLL_MS = 200;

/**
 * Makes this server a replica by GTID, and waits until both threads run. One that follows that source already is left
 * as it is. Throws REPLICATION_FAILED with the server's error, CONFIG_INVALID without an account, or what connecting throws.
 */
export const replicateTask: TaskDefinition<'replicate'> = {
  run: async (agent, spec, task) => {
    const account = sourceAccount(agent, spec);
    const session = await openSession(accountOf(mariadbOf(agent)), task.signal);
    try {
      await follow(session, account, spec, task.signal);
      const timeoutMs = spec.timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(spec.timeout);
      const source = await untilRunning(agent, session, spec, timeoutMs, task.signal);
      return { result: { case: 'replicate', value: { source } } };
    } catch (error) {
      if (error instanceof SqlFailure) throw failed(spec, error.message, error);
      throw error;
    } finally {
      await session.close();
    }
  },
};

function sourceAccount(agent: Agent, { host, port }: ReplicateTask): SourceAccount {
  const { replication } = mariadbOf(agent);
  if (replication === undefined) {
    throw new StillpointError('CONFIG_INVALID', `No account for replication is configured on ${agent.config.node}`, {
      hint: 'Set mariadb.replication in agent.yaml, or restore with the commands printed instead of run.',
    });
  }
  return { host, port, user: replication.user, password: readSecret(replication.passwordFile, 'mariadb.replication.passwordFile') };
}

/** Repeatable: what an interrupted run has set up already is gone on with. */
async function follow(session: Session, account: SourceAccount, spec: ReplicateTask, signal: AbortSignal): Promise<void> {
  const present = await replicaState(session, signal);
  if (
    present !== undefined &&
    present.source.host === spec.host &&
    present.source.port === spec.port &&
    present.source.usingGtid !== 'No'
  ) {
    if (present.stopped) await startReplication(session, signal);
    return;
  }
  const { gtidSlavePos } = await readPosition(session, signal);
  if (!sameGtidPosition(gtidSlavePos, spec.gtidPosition)) {
    throw failed(spec, `it stands at GTID ${gtidSlavePos || '(none)'}, not at ${spec.gtidPosition || '(none)'}`);
  }
  await followSource(session, account, signal);
}

/** Two looks in a row, because a thread may run for a moment before it meets its first error. */
async function untilRunning(
  agent: Agent,
  session: Session,
  spec: ReplicateTask,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ReplicationSource> {
  const deadline = agent.clock.monotonicMs() + timeoutMs;
  let before: ReplicaState | undefined;
  for (;;) {
    const now = await replicaState(session, signal);
    if (now?.source.running && before?.source.running) return now.source;
    if (now?.stopped && now.source.lastError !== '') throw failed(spec, now.source.lastError);
    if (agent.clock.monotonicMs() >= deadline) throw failed(spec, now?.source.lastError || 'its threads did not run in time');
    before = now;
    await agent.clock.sleep(POLL_MS, signal);
  }
}

const failed = ({ host, port }: ReplicateTask, why: string, cause?: unknown): StillpointError =>
  new StillpointError('REPLICATION_FAILED', `This server does not replicate from ${host}:${port}: ${why}`, { cause });
