/** The controller: decides what happens to the cluster. What the command line needs is here, and nothing else. */
export type {
  BackupReport,
  BackupRequest,
  ClusterChecks,
  Controller,
  DeleteReport,
  EngineResume,
  NodeChecks,
  NodeReport,
  OperationState,
  ReplicaImage,
  RestoreReport,
  RestoreRequest,
  RestoreRunOptions,
  RestoreState,
  RestoreSummary,
  RunOptions,
  SetDetail,
  SetState,
  SetSummary,
  SettleOptions,
  VerifyReport,
} from './api.ts';
export { loadClusterConfig } from './config/load.ts';
export { type BackupSettings, type ClusterConfig, clusterConfigSchema, type RestoreSettings } from './config/schema.ts';
export type { ControllerLog } from './context.ts';
export { type ControllerOptions, openController } from './controller.ts';
export type { Observer, OperationEvent } from './events.ts';
export {
  type AuthorityFiles,
  type Expiry,
  type InitAuthorityRequest,
  type IssuedCertificate,
  type IssueRequest,
  initAuthority,
  inspectExpiry,
  issueCertificate,
} from './pki/index.ts';
export type { BackupDbroot, BackupNode, BackupPhase, BackupPlan } from './plan/backup.ts';
export type { CaptureStrategy, PlannedCapture } from './plan/capture-strategies.ts';
export type { PlannedNode, PlanProblem, RestorePlan } from './plan/restore.ts';
export type { RetentionRules } from './retention/policy.ts';
export type { CleanReport, CleanRequest, FoundLeftover, ProtectReport, PrunedSet, PruneReport } from './retention/report.ts';
