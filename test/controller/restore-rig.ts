import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { RestorePlan, RestoreReport, RestoreRequest, RestoreState } from '../../packages/controller/src/index.ts';
import type { DbrootMap } from './engine-builders.ts';
import { type FakeCluster, fakeCluster, type Identities, identities, type WatchedRun, watchedRun } from './fake-cluster.ts';

/** A fake cluster with one good set, anew for every test of the file, and what tests of restores do and look at. */
export interface RestoreRig {
  readonly cluster: FakeCluster;
  readonly setId: string;
  plan(request?: Partial<RestoreRequest>): Promise<RestorePlan>;
  run(planId: string, options?: { run?: WatchedRun; stopServers?: boolean }): Promise<RestoreReport>;
  resume(operationId: string, without?: readonly string[]): Promise<RestoreReport>;
  rollback(operationId: string, without?: readonly string[]): Promise<RestoreReport>;
  finish(operationId: string, without?: readonly string[]): Promise<RestoreReport>;
  /** As when the state directory is lost, or the controller moves to another host. */
  forget(): void;
  /** Has the journal say that all restores are in this state. */
  callIt(state: RestoreState): void;
  /** Of the newest restore. */
  stateOf(): RestoreState | undefined;
  restoreId(): string;
  /** What lies in the data directories. */
  data(): Record<string, string>;
  restored(): Record<string, string>;
  /** Every server runs on the restored data, and the replicas follow. */
  expectRestored(): void;
  /** Every server runs on what was there before, and nothing is left of a restore. */
  expectOld(): void;
}

/** What every data directory holds before a restore. */
export const LIVE = { db1: 'live', db2: 'live', db3: 'live' };

/** A fault that fails with a code. */
export const fails = (code: ErrorCode) => () => {
  throw new StillpointError(code, `injected ${code}`);
};

/** The signal of nobody. */
const none = new AbortController().signal;

/** Registers what makes and removes the cluster, with an engine where there is a map; to be called once, at the top of a file of tests. */
export function restoreRig(map?: DbrootMap): RestoreRig {
  let ids: Identities;
  let cluster: FakeCluster;
  let setId: string;
  beforeAll(async () => {
    ids = await identities();
  });
  afterAll(() => ids?.remove());
  beforeEach(async () => {
    cluster = await fakeCluster(ids, map);
    // db3 lags behind at the cut, and so is seeded from the primary.
    cluster.node('db3').server.gtidSlavePos = '0-1-800';
    setId = (await cluster.controller.createBackup({}, watchedRun())).set.setId;
    for (const { history } of cluster.nodes) history.length = 0;
  });
  afterEach(() => cluster?.remove());
  const edit = (sql: string): void => {
    const db = new DatabaseSync(join(cluster.config.stateDir, 'stillpoint.db'));
    db.exec(sql);
    db.close();
  };
  return {
    get cluster() {
      return cluster;
    },
    get setId() {
      return setId;
    },
    plan: (request = {}) =>
      cluster.controller.planRestore(
        { setId: 'latest', replicas: 'auto', replication: 'start', restoreConfiguration: false, ...request },
        none,
      ),
    run: (planId, options = {}) =>
      cluster.controller.runRestore(planId, { ...(options.run ?? watchedRun()), stopServers: options.stopServers ?? true }),
    resume: (operationId, without = []) => cluster.controller.resumeRestore(operationId, { ...watchedRun(), stopServers: true, without }),
    rollback: (operationId, without = []) => cluster.controller.rollbackRestore(operationId, { ...watchedRun(), without }),
    finish: (operationId, without = []) => cluster.controller.finishRestore(operationId, { ...watchedRun(), without }),
    forget: () => edit('DELETE FROM steps; DELETE FROM operations; DELETE FROM plans'),
    callIt: (state) => edit(`UPDATE operations SET state = '${state}' WHERE kind = 'restore'`),
    stateOf: () => cluster.controller.listRestores()[0]?.state,
    restoreId: () => cluster.controller.listRestores()[0]?.operationId ?? '',
    data: () => Object.fromEntries(cluster.nodes.map(({ name, server }) => [name, server.data])),
    restored: () => ({ db1: `${setId}/db1`, db2: `${setId}/db2`, db3: `${setId}/db1` }),
    expectRestored() {
      expect(this.data()).toEqual(this.restored());
      for (const { server } of cluster.nodes) expect(server.running).toBe(true);
      expect(this.stateOf()).toBe('switched');
    },
    expectOld() {
      expect(this.data()).toEqual(LIVE);
      for (const { restore, server } of cluster.nodes) {
        expect(server.running).toBe(true);
        expect(restore).toBeUndefined();
      }
    },
  };
}
