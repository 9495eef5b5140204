/** Proof: that restored tables are those of the cut, by their checksums. */
export { checksumTables, type SummedTable, type Sums } from '../mariadb/checksums.ts';
export { type Comparison, compareChecksums, isProven } from './compare.ts';
