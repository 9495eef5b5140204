/** A row of viewtablelock as it is printed. */
export interface LockRow {
  readonly id: number;
  /** schema.table; empty when the system catalog does not know it. */
  readonly table: string;
  readonly process: string;
  readonly pid: number;
  /** Empty for bulk loads. */
  readonly session: string;
  /** As ctime writes it, in the time zone of the program: `Fri Nov 20 12:35:28 2026`. */
  readonly created: string;
  readonly state: string;
  readonly dbroots: readonly number[];
}

/** What viewtablelock said. What is not understood is not empty. */
export type LockTable =
  | { readonly kind: 'empty' }
  | { readonly kind: 'locked'; readonly rows: readonly LockRow[] }
  | { readonly kind: 'unclear'; readonly text: string };

const EMPTY = ' No tables are locked in the database.\n';
const COLUMNS = ['Table', 'LockID', 'Process', 'PID', 'Session', 'Txn', 'CreationTime', 'State', 'DBRoots'] as const;
type Column = (typeof COLUMNS)[number];
const CTIME = /^\w{3} \w{3} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/**
 * Reads the output of `viewtablelock`. Columns are as wide as their widest value, so a row is cut where the header's words begin; widths
 * count bytes. Anything but the exact text for no lock, or as many well-formed rows as it says there are, is `unclear`. Pure.
 */
export function parseLockTable(stdout: string): LockTable {
  if (stdout === EMPTY) return { kind: 'empty' };
  const unclear: LockTable = { kind: 'unclear', text: stdout };
  const [title = '', blank, header = '', ...lines] = stdout.split('\n');
  const count = countOf(title);
  const starts = columnStarts(header);
  // The last line is what follows the final newline.
  if (count === undefined || blank !== '' || starts === undefined || lines.pop() !== '' || lines.length !== count) return unclear;
  const rows = lines.map((line) => parseRow(line, starts));
  return rows.every((row) => row !== undefined) ? { kind: 'locked', rows } : unclear;
}

function countOf(title: string): number | undefined {
  if (title === ' There is 1 table lock') return 1;
  const count = /^ There are (\d+) table locks$/.exec(title)?.[1];
  return count === undefined || Number(count) < 2 ? undefined : Number(count);
}

/** Where each column begins, bytes; undefined when that is not the header. */
function columnStarts(header: string): readonly number[] | undefined {
  if (!header.startsWith('  ') || header.trim().split(/ +/).join() !== COLUMNS.join()) return undefined;
  return COLUMNS.map((name) => header.indexOf(name));
}

function parseRow(line: string, starts: readonly number[]): LockRow | undefined {
  const bytes = Buffer.from(line, 'utf8');
  const cells = COLUMNS.map((_, index) =>
    bytes
      .subarray(starts[index], starts[index + 1])
      .toString('utf8')
      .trimEnd(),
  );
  const cell = (column: Column): string => cells[COLUMNS.indexOf(column)] ?? '';
  const isWellFormed =
    /^\d+$/.test(cell('LockID')) &&
    cell('Process') !== '' &&
    /^\d+$/.test(cell('PID')) &&
    /^(?:\d+|BulkLoad)$/.test(cell('Session')) &&
    /^(?:\d+|n\/a)$/.test(cell('Txn')) &&
    CTIME.test(cell('CreationTime')) &&
    /^(?:LOADING|CLEANUP)$/.test(cell('State')) &&
    /^(?:\d+(?:,\d+)*)?$/.test(cell('DBRoots'));
  if (!isWellFormed) return undefined;
  return {
    id: Number(cell('LockID')),
    table: cell('Table'),
    process: cell('Process'),
    pid: Number(cell('PID')),
    session: cell('Session') === 'BulkLoad' ? '' : cell('Session'),
    created: cell('CreationTime'),
    state: cell('State'),
    dbroots: cell('DBRoots') === '' ? [] : cell('DBRoots').split(',').map(Number),
  };
}
