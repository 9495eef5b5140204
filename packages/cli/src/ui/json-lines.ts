import type { BackupPlan, RestorePlan, RestoreReport, RestoreSummary, SetSummary } from '@stillpoint/controller';
import type { CheckResult } from '@stillpoint/shared/proto';
import { cleanLines, protectionLine, pruneLines, pruneView } from './json-retention.ts';
import { nodeView, statusName } from './node-view.ts';
import type { Finding, Result, ResultOf, ResultType } from './result.ts';

/** One line of `--output json`. Field names and types are stable: docs/reference/json.md. */
export type JsonLine = { readonly type: string; readonly [field: string]: unknown };

type Writers = { readonly [T in ResultType]: (result: ResultOf<T>) => readonly JsonLine[] };

const WRITERS: Writers = {
  cluster: ({ nodes }) => nodes.map((report) => ({ type: 'node', ...nodeView(report) })),
  checks: checksLines,
  'backup-plan': ({ plan }) => [backupPlanLine(plan)],
  backup: ({ report }) => [
    {
      type: 'backup',
      ...{ operationId: report.operationId, setId: report.set.setId, elapsedMs: report.elapsedMs, set: report.set },
      pruned: report.pruned === undefined ? null : pruneView(report.pruned),
      engine: report.engine.map(({ failure, ms, node, stuckLocks }) => ({
        ...{ node, resumeMs: ms ?? null, stuckLocks, failure: errorView(failure) },
      })),
    },
  ],
  sets: ({ sets }) => sets.map(setLine),
  'set-detail': ({ detail }) => [
    {
      type: 'set-detail',
      set: detail.set,
      protected: detail.isProtected,
      parts: detail.parts.map(({ node, part, error }) => ({ node, part: part ?? null, error: errorView(error) })),
    },
  ],
  verify: ({ report }) => [{ type: 'verify', setId: report.setId, ok: report.ok, nodes: report.nodes }],
  delete: ({ report }) => [{ type: 'delete', setId: report.setId, freedBytes: report.freedBytes }],
  prune: ({ report }) => pruneLines(report),
  protection: ({ report }) => [protectionLine(report)],
  clean: ({ report }) => cleanLines(report),
  'restore-plan': ({ plan, next }) => [restorePlanLine(plan, next)],
  restore: ({ report }) => [restoreLine(report)],
  restores: ({ restores }) => restores.map(restoreOperationLine),
  agent: (result) => [result],
  grants: (result) => [result],
  authority: (result) => [result],
  certificate: (result) => [result],
  findings: ({ findings }) => findings.map(findingLine),
  completion: (result) => [result],
  version: (result) => [result],
  help: (result) => [result],
};

/** A result as JSON lines: lists are one line an item, so that they can be read as they come. */
export function resultLines<T extends ResultType>(result: ResultOf<T> & Result): readonly JsonLine[] {
  const writer = WRITERS[result.type] as (result: Result) => readonly JsonLine[];
  return writer(result);
}

function checksLines({ purpose, checks }: ResultOf<'checks'>): readonly JsonLine[] {
  const line =
    (node: string | null) =>
    (check: CheckResult): JsonLine => ({
      type: 'check',
      node,
      name: check.name,
      status: statusName(check.status),
      message: check.message,
      hint: check.hint,
      code: check.code,
    });
  const unanswered = checks.nodes.flatMap(({ node, error }) =>
    error === undefined
      ? []
      : [{ type: 'check', node, name: 'agent', status: 'failed', message: error.message, hint: error.hint, code: error.code }],
  );
  return [
    ...unanswered,
    ...checks.nodes.flatMap(({ node, results }) => results.map(line(node))),
    ...checks.cluster.map(line(null)),
    { type: 'checks', purpose, ok: checks.ok },
  ];
}

const errorView = (error: { code: string; message: string; hint: string } | undefined) =>
  error === undefined ? null : { code: error.code, message: error.message, hint: error.hint };

const findingLine = ({ file, key, status, message, hint, error }: Finding): JsonLine => ({
  type: 'finding',
  file,
  key,
  status,
  message,
  hint,
  code: error?.code ?? '',
});

// Fields are named one by one: what the controller adds for its own use does not become part of the output by accident.

const backupPlanLine = ({
  cluster,
  columnstore,
  nodes,
  parent = '',
  phases,
  lockTimeoutMs,
  maxBlockMs,
  storage,
  warnings,
}: BackupPlan): JsonLine => ({
  type: 'backup-plan',
  ...{ cluster, parent, lockTimeoutMs, maxBlockMs, warnings },
  nodes: nodes.map(({ node, roles, source, captures, dataBytes, dbroots, repository, freeBytes }) => ({
    ...{ node, roles, source, dataBytes, repository, freeBytes },
    captures: captures.map(({ storage, dbroot, strategy, reason }) => ({ storage, dbroot, strategy, reason })),
    dbroots: dbroots.map(({ number, path, bytes }) => ({ number, path, bytes })),
  })),
  columnstore: columnstore === undefined ? null : plannedEngineView(columnstore),
  storage: plannedStorageView(storage),
  phases: phases.map(({ phase, nodes: on, blocksWriters, bound }) => ({ phase, nodes: on, blocksWriters, bound })),
});

const plannedStorageView = ({ compression, recipients, throttle, nice, ionice }: BackupPlan['storage']) => ({
  ...{ compression, recipients, nice },
  throttle: throttle ?? null,
  ionice: ionice ?? null,
});

const plannedEngineView = ({ version, configRevision, primary, driver }: NonNullable<BackupPlan['columnstore']>) => ({
  ...{ version, configRevision, primary, driver },
});

const setLine = ({
  setId,
  operationId,
  state,
  cutAt,
  nodes,
  storedBytes,
  dataBytes,
  blockedMs,
  reason,
  isProtected,
  parent = '',
}: SetSummary): JsonLine => ({
  type: 'set',
  ...{ setId, operationId, state, cutAt, nodes, storedBytes, dataBytes, blockedMs, reason },
  parent,
  protected: isProtected,
});

const restorePlanLine = (plan: RestorePlan, next: string): JsonLine => {
  const { id, cluster, columnstore = null, setId, cutAt, createdAt, replicas, replication, nodes, problems, warnings } = plan;
  return {
    type: 'restore-plan',
    ...{ id, cluster, setId, cutAt, createdAt, replicas, replication, columnstore, next, warnings },
    problems: problems.map(({ node, message, hint }) => ({ node, message, hint })),
    nodes: nodes.map((planned) => {
      const { node, roles, image, storedBytes, datadir, needBytes, freeBytes, replacesBytes, serverRunning } = planned;
      const { dbroots, engine, installedVersion, setVersion, restoreConfiguration, gtidPosition, replicateFrom } = planned;
      return {
        ...{ node, roles, image, storedBytes, datadir, needBytes, freeBytes, replacesBytes, serverRunning },
        ...{ installedVersion, setVersion, restoreConfiguration, gtidPosition },
        replicateFrom:
          replicateFrom === undefined ? null : { node: replicateFrom.node, host: replicateFrom.host, port: replicateFrom.port },
        dbroots: dbroots.map(
          ({ number, from, path, storedBytes: stored, dataBytes, needBytes: need, freeBytes: free, replacesBytes: replaces }) => ({
            ...{ number, from, path, storedBytes: stored, dataBytes, needBytes: need, freeBytes: free, replacesBytes: replaces },
          }),
        ),
        engine:
          engine === undefined
            ? null
            : { module: engine.module, primary: engine.primary, version: engine.version, running: engine.running },
      };
    }),
  };
};

const restoreLine = ({ operationId, setId, state, elapsedMs, nodes, leftOut, commands }: RestoreReport): JsonLine => ({
  type: 'restore',
  ...{ operationId, setId, state, elapsedMs, leftOut },
  nodes: nodes.map(({ node, image, bytes, tablesEqual, tablesUnproven, kept, freedBytes, gtidPosition, dbroots, tablesRead, locks }) => ({
    ...{ node, image, bytes, tablesEqual, tablesUnproven, kept, freedBytes, gtidPosition, dbroots, tablesRead, locks },
  })),
  commands: commands.map(({ node, sql }) => ({ node, sql })),
});

const restoreOperationLine = ({ operationId, planId, setId, state, startedAt, reason }: RestoreSummary): JsonLine => ({
  type: 'restore-operation',
  ...{ operationId, planId, setId, state, startedAt, reason },
});
