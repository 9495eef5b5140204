import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { SeenPosition } from '../../mariadb/lock.ts';
import { TOOL_GROUPS } from '../../mariadb/option-file.ts';

/** What mariadb-backup writes down about a backup that it completed. */
export interface BackupInfo {
  readonly toolVersion: string;
  /** Undefined when the server writes no binary log. */
  readonly position: SeenPosition | undefined;
  /** Log sequence numbers, decimal. */
  readonly fromLsn: string;
  readonly toLsn: string;
  readonly lastLsn: string;
}

/** Newer series call their files by another name. */
const INFO_FILES = ['xtrabackup_info', 'mariadb_backup_info'];
const CHECKPOINT_FILES = ['xtrabackup_checkpoints', 'mariadb_backup_checkpoints'];

/** What was asked for: all of the server's files, or what has changed in them since an earlier backup. */
export type BackupKind = 'full' | 'incremental';

/**
 * Reads the files of --extra-lsndir. Undefined when one is missing or not understood: the backup did not complete. Throws CAPTURE_FAILED when
 * it is not the whole of what was asked for.
 */
export async function readBackupInfo(directory: string, kind: BackupKind = 'full'): Promise<BackupInfo | undefined> {
  const info = await readFirst(directory, INFO_FILES);
  const checkpoints = await readFirst(directory, CHECKPOINT_FILES);
  return info === undefined || checkpoints === undefined ? undefined : parseBackupInfo(info, checkpoints, kind);
}

async function readFirst(directory: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const text = await readFile(join(directory, name), 'utf8').catch(() => undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** Undefined when a line that must be there is not. Throws CAPTURE_FAILED for another backup than the one that was asked for. Pure. */
export function parseBackupInfo(info: string, checkpoints: string, kind: BackupKind = 'full'): BackupInfo | undefined {
  const toolVersion = settingOf(info, 'tool_version');
  const [fromLsn, toLsn, lastLsn] = ['from_lsn', 'to_lsn', 'last_lsn'].map((name) => /^\d+$/.exec(settingOf(checkpoints, name) ?? '')?.[0]);
  if (toolVersion === undefined || fromLsn === undefined || toLsn === undefined || lastLsn === undefined) return undefined;
  const expected = expectedOf(kind);
  if (expected.some(([name]) => settingOf(info, name) === undefined)) return undefined;
  for (const [name, value] of expected) {
    const found = settingOf(info, name);
    if (found !== value) throw notAsAsked(name, found ?? '', value);
  }
  return { toolVersion, position: parsePosition(settingOf(info, 'binlog_pos') ?? ''), fromLsn, toLsn, lastLsn };
}

/**
 * mariadb-backup obeys groups of its own in the server's option file, and those of clients: with databases left out it still completes OK, and
 * with `compress`, meant for the connections of clients, it writes files that nothing decompresses.
 */
const expectedOf = (kind: BackupKind): readonly (readonly [name: string, value: string])[] => [
  ['partial', 'N'],
  ['incremental', kind === 'incremental' ? 'Y' : 'N'],
  ['compressed', 'N'],
];

const notAsAsked = (name: string, found: string, expected: string): StillpointError =>
  new StillpointError(
    'CAPTURE_FAILED',
    `mariadb-backup made another backup than it was asked for: \`${name} = ${found}\` instead of \`${expected}\``,
    {
      hint: `Remove options like databases, tables, compress and incremental from the groups ${TOOL_GROUPS.map((group) => `[${group}]`).join(', ')} of the server's option file (mariadb.defaultsFile).`,
    },
  );

const settingOf = (text: string, name: string): string | undefined => new RegExp(`^${name} = ?(.*)$`, 'm').exec(text)?.[1]?.trim();

/** `filename 'bin.000008', position '5655', GTID of the last change '0-1-840'`; the GTID is left out when there is none. */
function parsePosition(text: string): SeenPosition | undefined {
  const match = /^filename '(.+?)', position '(\d+)'(?:, GTID of the last change '(.*)')?$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { file: match[1], offset: BigInt(match[2]), gtid: match[3] ?? '' };
}
