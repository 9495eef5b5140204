import { StillpointError } from '@stillpoint/shared/errors';
import { newOperationId, type OperationKind } from '@stillpoint/shared/operation';
import type { Clock } from '@stillpoint/shared/time';
import type { OperationState, RestoreState } from '../api.ts';
import type { Database } from './database.ts';
import { lifeOf, type Owner, ownerText, thisProcess } from './owner.ts';

/** How an operation stands; restores have more states than others. */
export type JournalState = OperationState | RestoreState;

/** One operation as the journal knows it. */
export interface OperationRecord {
  readonly id: string;
  readonly kind: OperationKind;
  readonly state: JournalState;
  readonly setId: string;
  readonly planId: string;
  readonly nodes: readonly string[];
  readonly startedAt: string;
  readonly endedAt: string;
  readonly reason: string;
  /** A commit was begun, and neither ended nor undone. */
  readonly commitOpen: boolean;
}

/** What an operation begins with. */
export interface OperationStart {
  readonly kind: OperationKind;
  readonly setId?: string;
  readonly planId?: string;
  readonly nodes?: readonly string[];
}

/** The durable record of operations of one cluster. Every method throws CATALOG_UNUSABLE when the database fails. */
export interface Journal {
  /** Begins an operation and owns it. Throws OPERATION_RUNNING while a living process owns another one. */
  begin(start: OperationStart): OperationRecord;
  /** Records an operation that this journal does not know, at rest in a state. */
  adopt(operation: OperationStart & { readonly id: string }, state: JournalState, reason: string): void;
  /** Owns an earlier operation again. Throws OPERATION_RUNNING, OPERATION_NOT_FOUND. */
  reopen(operationId: string): OperationRecord;
  /** The operation has come to rest in a state, and nobody owns it. */
  end(operationId: string, state: JournalState, reason?: string): void;
  setCommitOpen(operationId: string, open: boolean): void;
  setClaimsOpen(operationId: string, open: boolean): void;
  /** Operations that are over without having given back their nodes for certain, and which nobody goes on with. */
  abandoned(): OperationRecord[];
  /** Throws OPERATION_NOT_FOUND. */
  get(operationId: string): OperationRecord;
  /** Newest first. */
  list(kind: OperationKind): OperationRecord[];
  /** Operations whose owner died become `interrupted`. */
  settleDead(): void;
}

interface Row {
  id: string;
  kind: string;
  state: string;
  set_id: string;
  plan_id: string;
  nodes: string;
  started_at: string;
  ended_at: string;
  owner: string;
  reason: string;
  commit_open: number;
}

/** With `takeOver`, owners that cannot be looked at from here count as dead: their user says that they are. */
export function openJournal(db: Database, cluster: string, clock: Clock, takeOver = false): Journal {
  const now = (): string => clock.now().toISOString();

  const settleDead = (): void => {
    for (const row of db.all<Row>(`SELECT * FROM operations WHERE cluster = $cluster AND state = 'running'`, { cluster })) {
      const owner = JSON.parse(row.owner) as Owner;
      const life = lifeOf(owner);
      if (life === 'alive' || (life === 'elsewhere' && !takeOver)) continue;
      db.run(`UPDATE operations SET state = 'interrupted', ended_at = $now, owner = '', reason = $reason WHERE id = $id`, {
        id: row.id,
        now: now(),
        reason: `its controller (${ownerText(owner)}) ${life === 'dead' ? 'ended in the middle of it' : 'was declared dead by --take-over'}`,
      });
    }
  };
  const refuseSecond = (): void => {
    settleDead();
    const row = db.get<Row>(`SELECT * FROM operations WHERE cluster = $cluster AND state = 'running'`, { cluster });
    if (row === undefined) return;
    throw running(row.id, JSON.parse(row.owner) as Owner);
  };
  const get = (id: string): OperationRecord => {
    const row = db.get<Row>('SELECT * FROM operations WHERE cluster = $cluster AND id = $id', { cluster, id });
    if (row === undefined) throw new StillpointError('OPERATION_NOT_FOUND', `no operation ${id} in the journal ${db.path}`);
    return recordOf(row);
  };

  return {
    get,
    settleDead: () => db.transaction(settleDead),
    begin: ({ kind, setId = '', planId = '', nodes = [] }) =>
      db.transaction(() => {
        refuseSecond();
        const id = newOperationId(kind, clock.now());
        db.run(
          `INSERT INTO operations (id, cluster, kind, state, set_id, plan_id, nodes, started_at, owner)
           VALUES ($id, $cluster, $kind, 'running', $setId, $planId, $nodes, $now, $owner)`,
          { id, cluster, kind, setId, planId, nodes: JSON.stringify(nodes), now: now(), owner: JSON.stringify(thisProcess()) },
        );
        return get(id);
      }),
    adopt: ({ id, kind, setId = '', planId = '', nodes = [] }, state, reason) =>
      db.run(
        `INSERT INTO operations (id, cluster, kind, state, set_id, plan_id, nodes, started_at, ended_at, reason)
         VALUES ($id, $cluster, $kind, $state, $setId, $planId, $nodes, $now, $now, $reason)`,
        { id, cluster, kind, state, setId, planId, nodes: JSON.stringify(nodes), now: now(), reason },
      ),
    reopen: (id) =>
      db.transaction(() => {
        refuseSecond();
        get(id);
        db.run(`UPDATE operations SET state = 'running', ended_at = '', reason = '', owner = $owner WHERE id = $id`, {
          id,
          owner: JSON.stringify(thisProcess()),
        });
        return get(id);
      }),
    end: (id, state, reason = '') =>
      db.run(`UPDATE operations SET state = $state, reason = $reason, ended_at = $now, owner = '' WHERE id = $id`, {
        id,
        state,
        reason,
        now: now(),
      }),
    setCommitOpen: (id, open) => db.run('UPDATE operations SET commit_open = $open WHERE id = $id', { id, open: open ? 1 : 0 }),
    setClaimsOpen: (id, open) => db.run('UPDATE operations SET claims_open = $open WHERE id = $id', { id, open: open ? 1 : 0 }),
    abandoned: () =>
      db
        .all<Row>(`SELECT * FROM operations WHERE cluster = $cluster AND state <> 'running' AND kind <> 'restore' AND claims_open = 1`, {
          cluster,
        })
        .map(recordOf),
    list: (kind) =>
      db
        .all<Row>('SELECT * FROM operations WHERE cluster = $cluster AND kind = $kind ORDER BY started_at DESC, id DESC', { cluster, kind })
        .map(recordOf),
  };
}

function running(id: string, owner: Owner): StillpointError {
  const message = `${id} is running (${ownerText(owner)})`;
  if (lifeOf(owner) !== 'elsewhere') return new StillpointError('OPERATION_RUNNING', message);
  return new StillpointError('OPERATION_RUNNING', `${message}, on another host or in another container than this`, {
    hint: 'Wait for it to end. Only if that process is dead for certain: repeat the command with --take-over.',
  });
}

const recordOf = (row: Row): OperationRecord => ({
  id: row.id,
  kind: row.kind as OperationKind,
  state: row.state as JournalState,
  setId: row.set_id,
  planId: row.plan_id,
  nodes: JSON.parse(row.nodes) as string[],
  startedAt: row.started_at,
  endedAt: row.ended_at,
  reason: row.reason,
  commitOpen: row.commit_open === 1,
});
