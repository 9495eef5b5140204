import { gateSql } from './gate-table.ts';
import { probeSql } from './probe.ts';
import type { Session } from './session.ts';

/** What the account is used for. */
export type PrivilegePurpose = 'backup' | 'restore';

/** One global privilege and what would fail without it. */
export interface NeededPrivilege {
  /** As SHOW GRANTS spells it. */
  readonly name: string;
  readonly purposes: readonly PrivilegePurpose[];
  /** Completes "needed ...". */
  readonly what: string;
  /** Without it an operation works, but proves less. */
  readonly optional?: true;
}

/** The least that works; the test with exactly these grants is test/agent/privileges.test.ts. */
export const NEEDED_PRIVILEGES: readonly NeededPrivilege[] = [
  {
    name: 'RELOAD',
    purposes: ['backup', 'restore'],
    what: 'to take the global read lock, and to reset the binary log of a restored server',
  },
  { name: 'PROCESS', purposes: ['backup', 'restore'], what: 'to name the sessions that hold up the lock, and by mariadb-backup' },
  {
    name: 'BINLOG MONITOR',
    purposes: ['backup', 'restore'],
    what: 'to read the position of the binary log; mariadb-backup fails without it, at its very end',
  },
  { name: 'SLAVE MONITOR', purposes: ['backup', 'restore'], what: 'to read the state of replication' },
  {
    name: 'SELECT',
    purposes: ['backup', 'restore'],
    what: 'to sum tables, and to read those of ColumnStore whole after a restore; what the account cannot see stays unproven',
    optional: true,
  },
  {
    name: 'REPLICATION SLAVE ADMIN',
    purposes: ['restore'],
    what: 'to set the GTID position of a restored server and to start replication',
  },
];

export interface AccountSql {
  readonly user: string;
  /** Host part of the account. Default localhost: the agent connects by socket. */
  readonly host?: string;
  /** How the account logs in. Default by a password, for which a placeholder is printed. */
  readonly authentication?: 'password' | 'unix_socket';
  /** Default: everything. */
  readonly purposes?: readonly PrivilegePurpose[];
}

/** SQL that makes the agent's account, line by line, each grant with what it is for, and for backups the gate and the probe's table. */
export function grantsSql({
  user,
  host = 'localhost',
  authentication = 'password',
  purposes = ['backup', 'restore'],
}: AccountSql): string[] {
  const account = `${quoteText(user)}@${quoteText(host)}`;
  const proof = authentication === 'password' ? "IDENTIFIED BY '<password>'" : 'IDENTIFIED VIA unix_socket';
  const needed = NEEDED_PRIVILEGES.filter((privilege) => privilege.purposes.some((purpose) => purposes.includes(purpose)));
  return [
    `CREATE USER IF NOT EXISTS ${account} ${proof};`,
    ...needed.flatMap(({ name, what }) => [`-- ${name}: needed ${what}`, `GRANT ${name} ON *.* TO ${account};`]),
    ...(purposes.includes('backup') ? [...gateSql(account), ...probeSql(account)] : []),
  ];
}

const quoteText = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

/** Privileges that the account of a session lacks, for a purpose. */
export async function missingPrivileges(session: Session, purpose: PrivilegePurpose, signal?: AbortSignal): Promise<NeededPrivilege[]> {
  // Without FOR: then the grants of active roles are among them.
  const rows = await session.query('SHOW GRANTS', [], signal);
  const held = globalPrivileges(rows.flatMap((row) => Object.values(row).map(String)));
  if (held.has('ALL PRIVILEGES')) return [];
  return NEEDED_PRIVILEGES.filter(({ name, purposes }) => purposes.includes(purpose) && !held.has(name));
}

/** Names by which other servers and versions know the same privilege. */
const ALIASES: Readonly<Record<string, string>> = {
  'REPLICATION CLIENT': 'BINLOG MONITOR',
  'REPLICA MONITOR': 'SLAVE MONITOR',
  'REPLICATION REPLICA ADMIN': 'REPLICATION SLAVE ADMIN',
};

/** Global privileges in lines of SHOW GRANTS. Grants on databases and tables do not count. */
export function globalPrivileges(grants: readonly string[]): Set<string> {
  const held = new Set<string>();
  for (const grant of grants) {
    const list = /^GRANT (.+?) ON \*\.\* TO /.exec(grant)?.[1];
    for (const name of list?.split(',') ?? []) held.add(ALIASES[name.trim()] ?? name.trim());
  }
  return held;
}
