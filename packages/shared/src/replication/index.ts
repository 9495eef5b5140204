/** Replication as a restore needs it: GTID positions, and the SQL that makes a server a replica. */
export { type ReplicationSourceAccount, replicationCommands } from './commands.ts';
export { currentGtidPosition, isGtidPosition, sameGtidPosition } from './gtid.ts';
