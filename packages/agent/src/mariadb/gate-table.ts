/** Stillpoint's own table: who has it locked for writing keeps mariadb-backup from its last stages, and nobody else from anything. */
export const GATE_TABLE = { database: 'stillpoint', table: 'gate' } as const;

/**
 * SQL that makes the gate, once in a cluster (it replicates), and lets an account (quoted) close it. A table without transactions: one of InnoDB would make
 * changes of tables wait too.
 */
export const gateSql = (account: string): readonly string[] => [
  '-- The gate, an empty table: with it, writers do not wait for the copy of the data, see "MariaDB by the gate" in docs/design.md',
  `CREATE DATABASE IF NOT EXISTS ${GATE_TABLE.database};`,
  `CREATE TABLE IF NOT EXISTS ${GATE_TABLE.database}.${GATE_TABLE.table} (closed INT) ENGINE=MyISAM;`,
  `GRANT SELECT, LOCK TABLES ON ${GATE_TABLE.database}.* TO ${account};`,
  '-- READ ONLY ADMIN: needed to close the gate of a server that is read_only',
  `GRANT READ ONLY ADMIN ON *.* TO ${account};`,
];
