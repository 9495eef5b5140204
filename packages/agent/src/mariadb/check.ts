import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { type ErrorCode, errnoOf, StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { type CheckResult, CheckResultSchema, CheckStatus, type ReplicationSource } from '@stillpoint/shared/proto';
import type { AgentConfig, MariadbConfig } from '../config/schema.ts';
import { directoryBytes, exists, freeBytes, isMountPoint } from '../host/index.ts';
import { checkService } from '../service/index.ts';
import { gateObstacle } from './gate-obstacle.ts';
import { layoutProblems } from './layout.ts';
import { formatPosition, readPosition, readSources } from './position.ts';
import { missingPrivileges, type PrivilegePurpose } from './privileges.ts';
import { accountOf, openSession, type Session } from './session.ts';
import { configuredSettings, runningSettings, type ServerSettings } from './settings.ts';
import { backupToolVersion, runTool, seriesOf, versionOrder } from './tools.ts';

/** What one look found; a thrown StillpointError is a finding too. */
interface Finding {
  readonly status: 'ok' | 'warning' | 'failed';
  readonly message: string;
  readonly hint?: string;
  /** For `failed`. */
  readonly code?: ErrorCode;
}

const ok = (message: string): Finding => ({ status: 'ok', message });
const warning = (message: string, hint: string): Finding => ({ status: 'warning', message, hint });
const failed = (code: ErrorCode, message: string, hint?: string): Finding => ({
  status: 'failed',
  code,
  message,
  ...(hint ? { hint } : {}),
});

/**
 * Looks at everything that a backup or a restore of this node's server would need. Names of results are stable.
 * Never throws for what it finds; throws the signal's reason.
 */
export async function checkMariadb(config: AgentConfig, purpose: PrivilegePurpose, signal?: AbortSignal): Promise<CheckResult[]> {
  const { mariadb } = config;
  if (mariadb === undefined) return [];
  const results: CheckResult[] = [];
  const look = async (name: string, looking: () => Promise<Finding>): Promise<void> => {
    const finding = await looking().catch((error: unknown) => {
      signal?.throwIfAborted();
      const { code, message, hint } = toStillpointError(error);
      return failed(code, message, hint);
    });
    results.push(resultOf(name, finding));
  };

  await look('mariadb.tools', () => checkTools(purpose, signal));
  if (purpose === 'restore') await look('mariadb.service', async () => ok(await checkService(mariadb.service, signal)));
  const server = await reach(mariadb, signal);
  try {
    await look('mariadb.server', async () => checkServer(server, purpose));
    const settings = await settingsOf(server, mariadb, signal);
    const { session } = server;
    if (settings !== undefined) {
      await look('mariadb.version', () => checkVersion(settings, signal));
      await look('mariadb.datadir', () => checkDatadir(settings, purpose));
      await look('mariadb.layout', () => checkLayout(settings));
      if (purpose === 'backup') await look('repository.space', () => checkSpace(config.repository, settings.datadir, signal));
    }
    if (session !== undefined) {
      await look('mariadb.privileges', () => checkPrivileges(session, purpose, mariadb.user, signal));
      if (purpose === 'backup') await look('mariadb.gate', () => checkGate(session, signal));
      await look('mariadb.binlog', () => checkBinlog(session, signal));
      await look('mariadb.replication', () => checkReplication(session, signal));
    }
    return results;
  } finally {
    await server.session?.close();
  }
}

function resultOf(name: string, { status, message, hint, code }: Finding): CheckResult {
  const statuses = { ok: CheckStatus.OK, warning: CheckStatus.WARNING, failed: CheckStatus.FAILED };
  const hintOf = hint ?? (code === undefined ? '' : new StillpointError(code, message).hint);
  return create(CheckResultSchema, { name, status: statuses[status], message, hint: hintOf, code: code ?? '' });
}

interface Reached {
  readonly session?: Session;
  readonly error?: StillpointError;
}

async function reach(mariadb: MariadbConfig, signal?: AbortSignal): Promise<Reached> {
  try {
    return { session: await openSession(accountOf(mariadb), signal) };
  } catch (error) {
    signal?.throwIfAborted();
    return { error: toStillpointError(error) };
  }
}

/** A server that is down has settings too, as far as its option file can be read; that it cannot is reported by the version check. */
async function settingsOf(
  { session }: Reached,
  { defaultsFile }: MariadbConfig,
  signal?: AbortSignal,
): Promise<ServerSettings | undefined> {
  try {
    return session === undefined ? await configuredSettings(defaultsFile, signal) : await runningSettings(session, signal);
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

async function checkTools(purpose: PrivilegePurpose, signal?: AbortSignal): Promise<Finding> {
  const version = await backupToolVersion(signal);
  await runTool('zstd', '--version', signal);
  if (purpose === 'restore') {
    await runTool('mbstream', '--help', signal);
    await runTool('mariadbd', '--version', signal);
  }
  return ok(`mariadb-backup ${version}, zstd`);
}

function checkServer({ session, error }: Reached, purpose: PrivilegePurpose): Finding {
  if (session !== undefined) return ok('The server answers');
  if (error === undefined) return failed('SERVER_DOWN', 'The server does not answer');
  if (purpose === 'restore' && error.code === 'SERVER_DOWN') return ok('The server is stopped');
  return failed(error.code, error.message, error.hint);
}

async function checkVersion({ version }: ServerSettings, signal?: AbortSignal): Promise<Finding> {
  const tool = await backupToolVersion(signal);
  if (seriesOf(tool) !== seriesOf(version)) return failed('TOOL_MISMATCH', `The server is ${version}, mariadb-backup ${tool}`);
  if (versionOrder(tool) >= versionOrder(version)) return ok(`Server ${version}, mariadb-backup ${tool}`);
  return warning(
    `mariadb-backup ${tool} is older than the server ${version}`,
    'Update the package of mariadb-backup with that of the server.',
  );
}

async function checkDatadir({ datadir }: ServerSettings, purpose: PrivilegePurpose): Promise<Finding> {
  if (!(await exists(datadir))) {
    return purpose === 'restore'
      ? ok(`${datadir} does not exist`)
      : failed('CONFIG_FILE_UNREADABLE', `The data directory ${datadir} does not exist`);
  }
  const refused = await accessProblem(datadir, purpose === 'backup' ? constants.R_OK | constants.X_OK : constants.W_OK);
  if (refused !== undefined) {
    const hint = 'Run the agent as root or as the account of the server.';
    return failed('CONFIG_FILE_UNREADABLE', `The agent has no access to the data directory ${datadir}: ${refused}`, hint);
  }
  if (!(await isMountPoint(datadir))) return ok(`${datadir}`);
  return ok(`${datadir}, a mount point: a restore exchanges what is in it entry by entry`);
}

async function checkLayout(settings: ServerSettings): Promise<Finding> {
  if (!(await exists(settings.datadir))) return ok('Nothing is there yet');
  const problems = await layoutProblems(settings);
  if (problems.length === 0) return ok(`Everything of InnoDB and Aria lies in ${settings.datadir}`);
  return failed('LAYOUT_UNSUPPORTED', `Outside of the data directory ${settings.datadir}: ${problems.join('; ')}`);
}

async function checkSpace(repository: string, datadir: string, signal?: AbortSignal): Promise<Finding> {
  const refused = await accessProblem(await nearestExisting(repository), constants.W_OK);
  if (refused !== undefined) return failed('CONFIG_FILE_UNREADABLE', `The repository ${repository} cannot be written: ${refused}`);
  const [bytes, free] = await Promise.all([directoryBytes(datadir, signal), freeBytes(repository)]);
  const message = `${mebibytes(free)} MiB free in ${repository} for ${mebibytes(bytes)} MiB of data`;
  if (free >= bytes) return ok(message);
  // Data compresses to between a third and a half as a rule; how far, only the backup itself finds out.
  if (free * 4 >= bytes) return warning(message, 'It may fit, since it is compressed; make sure that it does.');
  return failed('SPACE_SHORT', message);
}

const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0);

async function nearestExisting(path: string): Promise<string> {
  return (await exists(path)) || path === '/' ? path : nearestExisting(dirname(path));
}

/** Why this process may not use a path; undefined when it may. */
async function accessProblem(path: string, mode: number): Promise<string | undefined> {
  return access(path, mode).then(
    () => undefined,
    (error: unknown) => errnoOf(error) ?? String(error),
  );
}

async function checkPrivileges(session: Session, purpose: PrivilegePurpose, user: string, signal?: AbortSignal): Promise<Finding> {
  const missing = await missingPrivileges(session, purpose, signal);
  const told = missing.map(({ name, what }) => `${name} (needed ${what})`).join('; ');
  if (missing.length === 0) return ok(`${user} has every privilege it needs`);
  const hint = 'Run the SQL that `stillpoint agent grants` prints.';
  return missing.every(({ optional }) => optional)
    ? warning(`${user} lacks ${told}`, hint)
    : failed('PRIVILEGE_MISSING', `${user} lacks ${told}`, hint);
}

/** That it is there is no condition of a backup, so only what the administrator can change is a warning. */
async function checkGate(session: Session, signal?: AbortSignal): Promise<Finding> {
  const obstacle = await gateObstacle(session, await backupToolVersion(signal), signal);
  if (obstacle === undefined) return ok(`Writers do not wait for the copy of the data${await waitForRedo(session, signal)}`);
  const message = `Writers wait while all data is read: ${obstacle.message}`;
  return obstacle.bySql ? warning(message, 'Run the SQL that `stillpoint agent grants` prints, on the primary.') : ok(message);
}

/**
 * mariadb-backup copies no more of the redo log than the server has flushed (10.11.19: it asks for Innodb_lsn_flushed), and under the lock no commit flushes it.
 * What is needed is flushed by `FLUSH ENGINE LOGS` of the tool itself, but only with innodb_flush_log_at_trx_commit = 1.
 */
async function waitForRedo(session: Session, signal?: AbortSignal): Promise<string> {
  const [row] = await session.query(
    'SELECT @@GLOBAL.innodb_flush_log_at_trx_commit AS durable, @@GLOBAL.innodb_flush_log_at_timeout AS seconds',
    [],
    signal,
  );
  if (Number(row?.durable) === 1) return '';
  return `, but for up to ${row?.seconds} s until the redo log is flushed (innodb_flush_log_at_trx_commit is ${row?.durable})`;
}

async function checkBinlog(session: Session, signal?: AbortSignal): Promise<Finding> {
  const position = await readPosition(session, signal);
  if (position.logBin) return ok(formatPosition(position));
  return warning(
    'The server writes no binary log: that nothing was written under the lock can only be told from the lock itself, and no replica can follow a restored server',
    'Set log_bin, if that matters.',
  );
}

async function checkReplication(session: Session, signal?: AbortSignal): Promise<Finding> {
  const sources = await readSources(session, signal);
  if (sources.length === 0) return ok('Replicates from nobody');
  const problems = sources.flatMap(replicationProblems);
  const from = sources.map(({ host, port }) => `${host}:${port}`).join(', ');
  if (problems.length === 0) return ok(`Replicates from ${from}`);
  return warning(problems.join('; '), 'A backup holds what this replica has, not what its source has.');
}

function replicationProblems(source: ReplicationSource): string[] {
  const name = `Replication from ${source.host}:${source.port}`;
  const problems: string[] = [];
  if (source.lastError !== '') problems.push(`${name} has failed: ${source.lastError}`);
  else if (!source.running) problems.push(`${name} does not run`);
  if (source.usingGtid === 'No') problems.push(`${name} does not use GTID, so it cannot be set up again by position alone`);
  return problems;
}
