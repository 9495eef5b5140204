import { create } from '@bufbuild/protobuf';
import { ERROR_TABLE, type ErrorCode, toStillpointError } from '@stillpoint/shared/errors';
import { type CheckResult, CheckResultSchema, CheckStatus } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import { ownAccount } from '../host/index.ts';
import { findProgram } from '../process/index.ts';
import { type FindRunning, missingHere, openEngine } from './discovery/index.ts';
import { engineProgram } from './engine/program.ts';
import { checkEngineService } from './service/check.ts';
import { isInPrivateTmp } from './service/private-tmp.ts';
import { runningProcesses } from './service/processes.ts';
import { chooseDriver, readEngineStatus } from './suspend/index.ts';
import type { Engine } from './types.ts';

const ok = (name: string, message: string): CheckResult => create(CheckResultSchema, { name, status: CheckStatus.OK, message });
const failed = (name: string, code: ErrorCode, message: string, hint: string = ERROR_TABLE[code].hint): CheckResult =>
  create(CheckResultSchema, { name, status: CheckStatus.FAILED, message, hint, code });

/**
 * Looks at the engine of this node, for a backup or a restore; a node without one is told as such. `find` looks for processes; tests pass one
 * of their own. Never throws but the signal's reason.
 */
export async function checkColumnstore(
  config: AgentConfig,
  purpose: 'backup' | 'restore',
  signal: AbortSignal,
  find: FindRunning = runningProcesses,
): Promise<CheckResult[]> {
  const name = 'columnstore.configuration';
  let engine: Engine | undefined;
  try {
    engine = await openEngine(config, find);
  } catch (error) {
    return [failed(name, 'COLUMNSTORE_CONFIG', toStillpointError(error).message)];
  }
  signal.throwIfAborted();
  if (engine === undefined) return [ok(name, 'No ColumnStore on this node')];
  const looks = [
    configuration(name, engine),
    ...(await dbroots(engine, purpose, find)),
    storage(engine),
    account(engine),
    ...(await scratch(engine)),
    await programs(engine, config),
  ];
  return [...looks, purpose === 'backup' ? await running(engine, config, signal) : await service(engine, config, signal)];
}

function configuration(name: string, { configFile, module, owned, contradictions }: Engine): CheckResult {
  if (contradictions.length > 0) return failed(name, 'COLUMNSTORE_CONFIG', contradictions.join('; '));
  if (module === 0) return ok(name, `No performance module of ${configFile}`);
  const roots = owned.length === 0 ? 'without dbroots' : `with dbroot ${owned.map(({ number }) => number).join(', ')}`;
  return ok(name, `pm${module} of ${configFile}, ${roots}`);
}

/** A restore brings what is missing. */
async function dbroots(engine: Engine, purpose: 'backup' | 'restore', find: FindRunning): Promise<CheckResult[]> {
  const name = 'columnstore.dbroots';
  if (engine.module === 0) return [];
  const missing = await missingHere(engine, find);
  if (missing.length === 0) return [ok(name, engine.owned.map(({ path }) => path).join(', ') || 'none on this node')];
  const told = missing.join('; ');
  const hint = 'Mount or restore the dbroot, start what does not run, or correct the file.';
  return [purpose === 'backup' ? failed(name, 'COLUMNSTORE_CONFIG', told, hint) : ok(name, told)];
}

function storage({ topology }: Engine): CheckResult {
  const name = 'columnstore.storage';
  if (topology.storage === 'local') return ok(name, 'local dbroots');
  return failed(name, 'COLUMNSTORE_UNSUPPORTED', 'The data is in object storage, through the StorageManager');
}

/** save_brm, load_brm and clearShm must run as the owner: as anybody else they leave shared memory that the engine cannot use. */
function account({ owner, dataDirectory }: Engine): CheckResult {
  const name = 'columnstore.account';
  const own = ownAccount();
  if (own.uid === 0 || own.uid === owner.uid) return ok(name, `can act as the owner of ${dataDirectory}`);
  const message = `The agent runs as uid ${own.uid}, and ${dataDirectory} belongs to uid ${owner.uid}`;
  return failed(name, 'PRIVILEGE_MISSING', message, 'Run the agent as root, or as the account that owns the data of the engine.');
}

/** A restore clears copies of the block resolution manager in there, and would clear another directory of that name. */
async function scratch({ topology: { scratchDirectory } }: Engine): Promise<CheckResult[]> {
  if (!(await isInPrivateTmp(scratchDirectory))) return [];
  const message = `The agent has a directory of its own where the engine has ${scratchDirectory}: its unit says PrivateTmp`;
  return [failed('columnstore.scratch', 'COLUMNSTORE_CONFIG', message, 'Remove PrivateTmp from the unit of the agent, and restart it.')];
}

async function programs(engine: Engine, { columnstore }: AgentConfig): Promise<CheckResult> {
  const name = 'columnstore.programs';
  const driver = chooseDriver(engine, columnstore);
  const needed = ['dbrmctl', 'viewtablelock', 'save_brm', 'load_brm', 'clearShm', ...(driver === 'mcsadmin' ? ['mcsadmin'] : [])];
  const missing: string[] = [];
  for (const program of needed.map((one) => engineProgram(engine, one))) {
    if ((await findProgram(program)) === undefined) missing.push(program);
  }
  if (missing.length === 0) return ok(name, `${needed.join(', ')}; suspended by ${driver}`);
  return failed(
    name,
    'TOOL_MISSING',
    `Not found: ${missing.join(', ')}`,
    'Install the engine of the cluster on this node, or correct PATH of the agent.',
  );
}

/** What a restore stops and starts the engine by. */
async function service(engine: Engine, { columnstore }: AgentConfig, signal: AbortSignal): Promise<CheckResult> {
  const name = 'columnstore.service';
  if (engine.module === 0) return ok(name, 'nothing of the engine is started here');
  try {
    return ok(name, await checkEngineService(engine, columnstore, signal));
  } catch (error) {
    signal.throwIfAborted();
    const { code, message, hint } = toStillpointError(error);
    return failed(name, code, message, hint);
  }
}

async function running(engine: Engine, { columnstore }: AgentConfig, signal: AbortSignal): Promise<CheckResult> {
  const name = 'columnstore.engine';
  const { mode, ready, text } = await readEngineStatus(engine, columnstore, signal);
  if (mode === 'read-only') return failed(name, 'ENGINE_READ_ONLY', `The engine is read-only: ${text}`);
  if (mode !== 'read-write' || !ready) return failed(name, 'ENGINE_NOT_READY', `The engine is not ready: ${text}`);
  return ok(name, text);
}
