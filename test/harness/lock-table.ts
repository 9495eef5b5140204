/** A table lock as the engine keeps it. */
export interface EngineLock {
  readonly id: number;
  /** Empty when the system catalog does not know the table. */
  readonly table: string;
  readonly process: string;
  readonly pid: number;
  /** -1 for a bulk load. */
  readonly session: number;
  /** -1 for a bulk load. */
  readonly transaction: number;
  readonly created: Date;
  readonly state: 'LOADING' | 'CLEANUP';
  readonly dbroots: readonly number[];
}

/** A lock of a statement that began a minute ago, or what is said of it. */
export const sqlLock = (lock: Partial<EngineLock> = {}): EngineLock => ({
  id: 26,
  table: 'shop.orders',
  process: 'DMLProc',
  pid: 6562,
  session: 19,
  transaction: 33,
  created: new Date(Date.now() - 60_000),
  state: 'LOADING',
  dbroots: [1, 2, 3],
  ...lock,
});

/** A lock of a bulk load that began a minute ago, or what is said of it. */
export const loadLock = (lock: Partial<EngineLock> = {}): EngineLock =>
  sqlLock({ id: 71, table: 'shop.lines', process: 'cpimport', pid: 2993, session: -1, transaction: -1, ...lock });

/** What `viewtablelock` prints of these: each column as wide as its widest value, in bytes, and two more. */
export function renderLockTable(locks: readonly EngineLock[]): string {
  if (locks.length === 0) return ' No tables are locked in the database.\n';
  const rows = [
    ['Table', 'LockID', 'Process', 'PID', 'Session', 'Txn', 'CreationTime', 'State', 'DBRoots'],
    ...locks.map((lock) => [
      lock.table,
      String(lock.id),
      lock.process,
      String(lock.pid),
      lock.session < 0 ? 'BulkLoad' : String(lock.session),
      lock.transaction < 0 ? 'n/a' : String(lock.transaction),
      ctime(lock.created),
      lock.state,
      lock.dbroots.join(','),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => Buffer.byteLength(row[column] ?? ''))) + 2) ?? [];
  const lines = rows.map(
    (row) => `  ${row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - Buffer.byteLength(cell))).join('')}`,
  );
  const title = locks.length === 1 ? ' There is 1 table lock' : ` There are ${locks.length} table locks`;
  return `${[title, '', ...lines].join('\n')}\n`;
}

/** As the C library writes it, in local time, the day padded with a blank. */
function ctime(date: Date): string {
  const [weekday, month, day, year] = date.toDateString().split(' ');
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${date.toTimeString().slice(0, 8)} ${String(Number(year)).padStart(4, '0')}`;
}
