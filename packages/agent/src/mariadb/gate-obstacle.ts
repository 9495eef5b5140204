import { GATE_TABLE } from './gate-table.ts';
import { globalPrivileges } from './privileges.ts';
import type { Session } from './session.ts';
import { quoteTable } from './tables.ts';
import { seriesOf, versionOrder } from './tools.ts';

/** What keeps the copy of a server from being made before the lock. */
export interface GateObstacle {
  /** A sentence without its full stop. */
  readonly message: string;
  /** True when the SQL of `stillpoint agent grants` removes it. */
  readonly bySql: boolean;
}

/**
 * First releases of a series whose mariadb-backup goes through its stages one by one (MDEV-32932): older ones copy everything after their first
 * lock. Later series have it from their beginning.
 */
const STAGED_SINCE: ReadonlyMap<string, number> = new Map([
  ['10.11', versionOrder('10.11.8')],
  ['11.0', versionOrder('11.0.6')],
  ['11.1', versionOrder('11.1.5')],
  ['11.2', versionOrder('11.2.4')],
  ['11.4', versionOrder('11.4.2')],
]);

/** True for a mariadb-backup that waits at the gate. Pure. */
export function isStaged(toolVersion: string): boolean {
  const since = STAGED_SINCE.get(seriesOf(toolVersion));
  return since === undefined ? versionOrder(toolVersion) > versionOrder('11.4.0') : versionOrder(toolVersion) >= since;
}

/** Undefined when there is none. Throws SERVER_DOWN or the signal's reason. */
export async function gateObstacle(session: Session, toolVersion: string, signal?: AbortSignal): Promise<GateObstacle | undefined> {
  const never = (message: string): GateObstacle => ({ message, bySql: false });
  const missing = (message: string): GateObstacle => ({ message, bySql: true });
  if (toolVersion === '') return never('mariadb-backup is not installed');
  if (!isStaged(toolVersion))
    return never(`mariadb-backup ${toolVersion} copies everything after it has its lock; from 10.11.8 and 11.4.2 on it does not`);
  const [server] = await session.query('SELECT @@GLOBAL.log_bin AS log_bin, @@GLOBAL.read_only AS read_only', [], signal);
  if (Number(server?.log_bin) === 0)
    return never('the server writes no binary log, by which alone a copy that was begun before the lock could be proven to be of it');
  const grants = (await session.query('SHOW GRANTS', [], signal)).flatMap((row) => Object.values(row).map(String));
  const held = globalPrivileges(grants);
  const has = (name: string): boolean => held.has('ALL PRIVILEGES') || held.has(name);
  const { database, table } = GATE_TABLE;
  const lacking = ['SELECT', 'LOCK TABLES'].filter((name) => !has(name) && !isGranted(grants, database, name));
  if (lacking.length > 0)
    return missing(`the account of the agent lacks ${lacking.join(' and ')} on ${database}.*, or there is no such database`);
  if (!/^(0|OFF)$/.test(String(server?.read_only)) && !has('READ_ONLY ADMIN') && !has('READ ONLY ADMIN'))
    return missing(
      'the server is read_only, and the account of the agent lacks READ ONLY ADMIN, without which it cannot lock a table there',
    );
  const [found] = await session.query(
    'SELECT engine, create_options FROM information_schema.tables WHERE table_schema = ? AND table_name = ?',
    [database, table],
    signal,
  );
  if (found === undefined) return missing(`there is no table ${quoteTable(GATE_TABLE)}`);
  const engine = String(found.engine);
  const isFree = engine === 'MyISAM' || (engine === 'Aria' && /transactional=0/i.test(String(found.create_options)));
  return isFree
    ? undefined
    : never(`${quoteTable(GATE_TABLE)} is of ${engine}, so that its lock would keep tables from being changed; make it anew as MyISAM`);
}

/** Whether lines of SHOW GRANTS give a privilege on a whole database. */
function isGranted(grants: readonly string[], database: string, name: string): boolean {
  return grants.some((grant) => {
    const [, list, on] = /^GRANT (.+?) ON `(.+?)`\.\* TO /.exec(grant) ?? [];
    return on === database && (list?.split(',').some((one) => ['ALL PRIVILEGES', name].includes(one.trim())) ?? false);
  });
}
