import type {
  BackupPlan,
  BackupReport,
  CleanReport,
  ClusterChecks,
  DeleteReport,
  NodeReport,
  ProtectReport,
  PruneReport,
  RestorePlan,
  RestoreReport,
  RestoreSummary,
  SetDetail,
  SetSummary,
  VerifyReport,
} from '@stillpoint/controller';
import type { ExitName, StillpointError } from '@stillpoint/shared/errors';

/** One thing that `config check` looked at. */
export interface Finding {
  readonly file: string;
  /** Key of the configuration file; empty for the file itself. */
  readonly key: string;
  readonly status: 'ok' | 'warning' | 'failed';
  readonly message: string;
  readonly hint: string;
  /** What a command would fail with; for failed ones only. */
  readonly error?: StillpointError;
}

/** What commands hand back. Each renderer has one function per type; a type without one does not compile. */
export type Result =
  | { readonly type: 'cluster'; readonly nodes: readonly NodeReport[] }
  | { readonly type: 'checks'; readonly purpose: 'backup' | 'restore'; readonly checks: ClusterChecks }
  | { readonly type: 'backup-plan'; readonly plan: BackupPlan }
  | { readonly type: 'backup'; readonly report: BackupReport }
  | { readonly type: 'sets'; readonly sets: readonly SetSummary[] }
  | { readonly type: 'set-detail'; readonly detail: SetDetail }
  | { readonly type: 'verify'; readonly report: VerifyReport }
  | { readonly type: 'delete'; readonly report: DeleteReport }
  | { readonly type: 'prune'; readonly report: PruneReport }
  | { readonly type: 'protection'; readonly report: ProtectReport }
  | { readonly type: 'clean'; readonly report: CleanReport }
  /** `next` is the command that carries the plan out. */
  | { readonly type: 'restore-plan'; readonly plan: RestorePlan; readonly next: string }
  /** `command` is how this command line is called again, up to the noun. */
  | { readonly type: 'restore'; readonly report: RestoreReport; readonly command: string }
  | { readonly type: 'restores'; readonly restores: readonly RestoreSummary[] }
  | {
      readonly type: 'agent';
      readonly state: 'ready' | 'stopped';
      readonly cluster: string;
      readonly node: string;
      readonly address: string;
    }
  | { readonly type: 'grants'; readonly sql: readonly string[] }
  | { readonly type: 'authority'; readonly cluster: string; readonly cert: string; readonly key: string; readonly expiresAt: string }
  | {
      readonly type: 'certificate';
      readonly role: string;
      readonly cluster: string;
      readonly name: string;
      readonly ca: string;
      readonly cert: string;
      readonly key: string;
      readonly expiresAt: string;
    }
  | { readonly type: 'findings'; readonly findings: readonly Finding[] }
  | { readonly type: 'completion'; readonly shell: string; readonly script: string }
  | { readonly type: 'version'; readonly version: string; readonly node: string; readonly platform: string }
  | { readonly type: 'help'; readonly text: string };

export type ResultType = Result['type'];
export type ResultOf<T extends ResultType> = Extract<Result, { type: T }>;

const exitOfSilent = ({ silent }: { readonly silent: readonly { readonly error: StillpointError }[] }): ExitName =>
  silent[0]?.error.row.exit ?? 'OK';

/** A node that is away is told by its error; one that is there and did not remove a set, by the set alone. */
const exitOfRemoval = (report: Parameters<typeof exitOfSilent>[0], sets: PruneReport['sets']): ExitName => {
  const exit = exitOfSilent(report);
  return exit === 'OK' && sets.some(({ outcome }) => outcome === 'begun') ? 'DELETE_REFUSED' : exit;
};

/** Answers that can be complete and still be bad news; all others are good. */
const ENDINGS: { readonly [T in ResultType]?: (result: ResultOf<T>) => ExitName } = {
  cluster: ({ nodes }) => nodes.find(({ error }) => error !== undefined)?.error?.row.exit ?? 'OK',
  checks: ({ checks: { ok, nodes } }) => (ok ? 'OK' : (nodes.find(({ error }) => error !== undefined)?.error?.row.exit ?? 'CHECK_FAILED')),
  // The set is good, but writers may fail until somebody has looked.
  backup: ({ report }) => report.engine.find(({ failure }) => failure !== undefined)?.failure?.row.exit ?? 'OK',
  verify: ({ report }) => (report.ok ? 'OK' : 'VERIFY_FAILED'),
  // What is left to be done is done by the next run; a node that is away is news all the same.
  prune: ({ report }) => exitOfRemoval(report, report.sets),
  protection: ({ report }) => exitOfSilent(report),
  clean: ({ report }) => exitOfRemoval(report, report.deletions),
  'restore-plan': ({ plan }) => (plan.problems.length === 0 ? 'OK' : 'RESTORE_REFUSED'),
  findings: ({ findings }) => (findings.some(({ status }) => status === 'failed') ? 'CONFIG' : 'OK'),
};

/** How the command line ends after a result that was shown. */
export function exitOf(result: Result): ExitName {
  const ending = ENDINGS[result.type] as ((result: Result) => ExitName) | undefined;
  return ending?.(result) ?? 'OK';
}
