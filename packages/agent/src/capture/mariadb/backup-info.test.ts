import { expect, test } from 'vitest';
import { parseBackupInfo } from './backup-info.ts';

const CHECKPOINTS = 'backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 44404\nlast_lsn = 18446744073709551000\nrecover_binlog_info = 0\n';
const info = (position: string, made = 'partial = N\nincremental = N\nformat = mbstream\ncompressed = N\n'): string =>
  `uuid = 738975a6\ntool_version = 10.11.19-MariaDB\nbinlog_pos = ${position}\ninnodb_from_lsn = 0\n${made}`;

test('position, GTIDs of several domains and log sequence numbers beyond 2^53 are read', () => {
  expect(parseBackupInfo(info("filename 'bin.000001', position '2021', GTID of the last change '0-1-7,3-1-1'"), CHECKPOINTS)).toEqual({
    toolVersion: '10.11.19-MariaDB',
    position: { file: 'bin.000001', offset: 2021n, gtid: '0-1-7,3-1-1' },
    fromLsn: '0',
    toLsn: '44404',
    lastLsn: '18446744073709551000',
  });
});

test('a server without binary log has no position', () => {
  expect(parseBackupInfo(info(''), CHECKPOINTS)?.position).toBeUndefined();
});

test('a log without a GTID yet has an empty one', () => {
  expect(parseBackupInfo(info("filename 'bin.000001', position '4'"), CHECKPOINTS)?.position?.gtid).toBe('');
});

test('a truncated file is no proof of a backup', () => {
  expect(parseBackupInfo(info(''), 'backup_type = full-backuped\nfrom_lsn = 0\n')).toBeUndefined();
  expect(parseBackupInfo('uuid = 1\n', CHECKPOINTS)).toBeUndefined();
});

test.each([
  ['databases left out', 'partial = Y\nincremental = N\nformat = mbstream\ncompressed = N\n', /`partial = Y`/],
  ['compressed files', 'partial = N\nincremental = N\nformat = mbstream\ncompressed = compressed\n', /`compressed = compressed`/],
  ['changes only', 'partial = N\nincremental = Y\nformat = mbstream\ncompressed = N\n', /`incremental = Y`/],
])('a backup with %s is not the one that was asked for', (_, made, expected) => {
  expect(() => parseBackupInfo(info('', made), CHECKPOINTS)).toThrow(expected);
});

test('changes only are what an incremental backup is asked for, and all files are not', () => {
  const made = 'partial = N\nincremental = Y\nformat = mbstream\ncompressed = N\n';
  expect(parseBackupInfo(info('', made), CHECKPOINTS, 'incremental')?.toLsn).toBe('44404');
  expect(() => parseBackupInfo(info(''), CHECKPOINTS, 'incremental')).toThrow(/`incremental = N`/);
});

test('a file that does not say what was left out is no proof', () => {
  expect(parseBackupInfo(info('', 'incremental = N\ncompressed = N\n'), CHECKPOINTS)).toBeUndefined();
});
