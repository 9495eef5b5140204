/** Proof: that restored tables are those of the cut, by their checksums. */
export { checksumTables } from '../mariadb/checksums.ts';
export { compareChecksums } from './compare.ts';
