import { create } from '@bufbuild/protobuf';
import { type MariadbPosition, MariadbPositionSchema, type ReplicationSource, ReplicationSourceSchema } from '@stillpoint/shared/proto';
import { type Clock, durationOf } from '@stillpoint/shared/time';
import type { Row, Session } from './session.ts';

/** Where the server's binary log and replication stand. Needs BINLOG MONITOR. */
export async function readPosition(session: Session, signal?: AbortSignal): Promise<MariadbPosition> {
  const [status] = await session.query('SHOW MASTER STATUS', [], signal);
  const [gtid] = await session.query('SELECT @@GLOBAL.gtid_binlog_pos AS binlog_pos, @@GLOBAL.gtid_slave_pos AS slave_pos', [], signal);
  return create(MariadbPositionSchema, {
    logBin: status !== undefined,
    file: String(status?.File ?? ''),
    offset: BigInt(String(status?.Position ?? 0)),
    gtidBinlogPos: String(gtid?.binlog_pos ?? ''),
    gtidSlavePos: String(gtid?.slave_pos ?? ''),
  });
}

const SETTLE_MS = 25;

/**
 * The position of a server that has just been locked. A replica tells @@gtid_slave_pos a moment after the commit that it
 * counts, so a lock that is granted in between would record one transaction too few: it is read until it stays the same.
 */
export async function readSettledPosition(session: Session, clock: Clock, signal?: AbortSignal): Promise<MariadbPosition> {
  for (let position = await readPosition(session, signal); ; ) {
    await clock.sleep(SETTLE_MS, signal);
    const again = await readPosition(session, signal);
    if (again.gtidSlavePos === position.gtidSlavePos) return again;
    position = again;
  }
}

/** The last transaction of every domain, logged here or replicated. */
export async function readCurrentGtid(session: Session, signal?: AbortSignal): Promise<string> {
  const [row] = await session.query('SELECT @@GLOBAL.gtid_current_pos AS position', [], signal);
  return String(row?.position ?? '');
}

/**
 * True when nothing was logged or replicated between two positions of the server at the other end of the session.
 *
 * An equal GTID at a higher offset of the same file needs a look: some time after each change of the log file the server
 * appends a Binlog_checkpoint event, under a global read lock too, and that changes no data. Needs BINLOG MONITOR.
 */
export async function stoodStill(
  session: Session,
  before: MariadbPosition,
  after: MariadbPosition,
  signal?: AbortSignal,
): Promise<boolean> {
  if (before.gtidBinlogPos !== after.gtidBinlogPos || before.gtidSlavePos !== after.gtidSlavePos) return false;
  if (before.logBin !== after.logBin || before.file !== after.file || before.offset > after.offset) return false;
  if (before.offset === after.offset) return true;
  const events = await session.query('SHOW BINLOG EVENTS IN ? FROM ?', [before.file, Number(before.offset)], signal);
  const between = events.filter((event) => BigInt(String(event.End_log_pos)) <= after.offset);
  return between.length > 0 && between.every((event) => event.Event_type === 'Binlog_checkpoint');
}

/** A position for people: `bin.000008:5655 (0-1-840)`, and how far it has replicated if it has. */
export function formatPosition({ logBin, file, offset, gtidBinlogPos, gtidSlavePos }: MariadbPosition): string {
  const log = logBin ? `${file}:${offset} (${gtidBinlogPos || 'no GTID'})` : 'no binary log';
  return gtidSlavePos === '' || gtidSlavePos === gtidBinlogPos ? log : `${log}, replicated ${gtidSlavePos}`;
}

/** Servers that this one replicates from, one entry a connection. Needs SLAVE MONITOR. */
export async function readSources(session: Session, signal?: AbortSignal): Promise<ReplicationSource[]> {
  return (await session.query('SHOW ALL SLAVES STATUS', [], signal)).map(sourceOf);
}

function sourceOf(row: Row): ReplicationSource {
  const text = (name: string): string => String(row[name] ?? '');
  const behind = row.Seconds_Behind_Master;
  return create(ReplicationSourceSchema, {
    connectionName: text('Connection_name'),
    host: text('Master_Host'),
    port: Number(row.Master_Port ?? 0),
    user: text('Master_User'),
    usingGtid: text('Using_Gtid'),
    running: text('Slave_IO_Running') === 'Yes' && text('Slave_SQL_Running') === 'Yes',
    lastError: text('Last_SQL_Error') || text('Last_IO_Error'),
    ...(behind === null || behind === undefined ? {} : { lag: durationOf(Number(behind) * 1000) }),
  });
}
