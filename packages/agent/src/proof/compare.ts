import type { TableChecksum } from '@stillpoint/shared/manifest';

/** How the tables of a restored server compare with those of the cut. */
export interface Comparison {
  /** Tables with the checksum they had at the cut. */
  readonly equal: number;
  /** `database.table` with another checksum. */
  readonly differing: readonly string[];
  /** Tables of the cut that are not there. */
  readonly missing: readonly string[];
  /** Tables that are there and were not summed at the cut. */
  readonly extra: readonly string[];
}

/** Compares what is with what was at the cut. Names come in order. */
export function compareChecksums(expected: readonly TableChecksum[], found: readonly TableChecksum[]): Comparison {
  const sums = new Map(found.map((table) => [keyOf(table), table.checksum]));
  const known = new Set(expected.map(keyOf));
  const equal = expected.filter((table) => sums.get(keyOf(table)) === table.checksum);
  const missing = expected.filter((table) => !sums.has(keyOf(table)));
  const differing = expected.filter((table) => sums.has(keyOf(table)) && sums.get(keyOf(table)) !== table.checksum);
  const extra = found.filter((table) => !known.has(keyOf(table)));
  return { equal: equal.length, differing: names(differing), missing: names(missing), extra: names(extra) };
}

type Named = Pick<TableChecksum, 'database' | 'table'>;

/** Names may hold dots; a zero byte they cannot hold. */
const keyOf = ({ database, table }: Named): string => `${database}\0${table}`;
const names = (tables: readonly Named[]): string[] => tables.map(({ database, table }) => `${database}.${table}`).sort();
