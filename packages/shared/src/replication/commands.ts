/** Which server to follow, and as whom. */
export interface ReplicationSourceAccount {
  readonly host: string;
  readonly port: number;
  /** Account on the source with REPLICATION SLAVE; unknown ones show as `<user>`. */
  readonly user?: string | undefined;
}

/**
 * SQL that makes a restored server a replica, for a person to run: its GTID position is set already. The password is
 * left for them to fill in.
 */
export const replicationCommands = ({ host, port, user }: ReplicationSourceAccount): readonly string[] => [
  `CHANGE MASTER TO MASTER_HOST=${sqlText(host)}, MASTER_PORT=${port}, MASTER_USER=${sqlText(user ?? '<user>')}, MASTER_PASSWORD='<password>', MASTER_USE_GTID=slave_pos;`,
  'START SLAVE;',
];

/** A literal of SQL, under the server's default sql_mode. */
const sqlText = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
