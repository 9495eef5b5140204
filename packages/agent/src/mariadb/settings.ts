import { stat } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';
import { isAbort, StillpointError } from '@stillpoint/shared/errors';
import type { MariadbConfig } from '../config/schema.ts';
import { ProgramFailure, runProgram } from '../process/index.ts';
import { accountOf, openSession, type Session } from './session.ts';

/** Effective settings of a server, whether it runs or not. Paths are absolute. */
export interface ServerSettings {
  /** True when they were read from the running server. */
  readonly running: boolean;
  /** For example 10.11.19-MariaDB-0+deb12u1. */
  readonly version: string;
  readonly serverId: number;
  readonly port: number;
  readonly datadir: string;
  readonly socket: string;
  readonly pidFile: string;
  /** Empty when the server logs to stderr, so into the journal of systemd. */
  readonly errorLog: string;
  /** Whether it writes a binary log. */
  readonly logBin: boolean;
  /** Path of the binary log without its number, for example /var/log/mysql/bin; may lie outside of the data directory. Empty without binary log. */
  readonly logBinBasename: string;
  /** Path of the list of binary logs; empty without binary log. */
  readonly logBinIndex: string;
  /** Path of the relay log without its number; empty when none is set: then it is <host or pid-file name>-relay-bin in the data directory. */
  readonly relayLogBasename: string;
  /** Directories that the server does not make by itself and must find when it starts: of its logs, socket, pid file, temporary files. */
  readonly neededDirectories: readonly string[];
  /** Directories of InnoDB and Aria; the data directory when nothing else is set. */
  readonly innodbDataHomeDir: string;
  readonly innodbLogGroupHomeDir: string;
  readonly innodbUndoDirectory: string;
  readonly ariaLogDirPath: string;
  /** Files of the system tablespace as configured, for example ibdata1:12M:autoextend. */
  readonly innodbDataFilePath: string;
}

/**
 * Settings of the running server, else as mariadbd itself computes them from the option file.
 * Throws TOOL_MISSING (no mariadbd), CONFIG_FILE_UNREADABLE (option file) or ACCESS_DENIED.
 */
export async function serverSettings(config: MariadbConfig, signal?: AbortSignal): Promise<ServerSettings> {
  const session = await openSession(accountOf(config), signal).catch((error: unknown) => {
    if (error instanceof StillpointError && error.code === 'SERVER_DOWN') return undefined;
    throw error;
  });
  if (session === undefined) return configuredSettings(config.defaultsFile, signal);
  try {
    return await runningSettings(session, signal);
  } finally {
    await session.close();
  }
}

/** Settings of the server at the other end of a session. */
export async function runningSettings(session: Session, signal?: AbortSignal): Promise<ServerSettings> {
  const rows = await session.query('SHOW GLOBAL VARIABLES', [], signal);
  const values = new Map(rows.map((row) => [String(row.Variable_name).replaceAll('_', '-'), String(row.Value ?? '')]));
  return settingsFrom(values, true);
}

/**
 * Settings as `mariadbd --verbose --help` computes them: includes, groups and defaults are the server's own business.
 * The data directory need not exist. Throws TOOL_MISSING or CONFIG_FILE_UNREADABLE.
 */
export async function configuredSettings(defaultsFile: string, signal?: AbortSignal): Promise<ServerSettings> {
  await readable(defaultsFile);
  // As root, mariadbd wants to be told its account; it reads, prints and exits, so which one does not matter.
  const user = process.getuid?.() === 0 ? ['--user=root'] : [];
  try {
    const { stdout } = await runProgram('mariadbd', [`--defaults-file=${defaultsFile}`, ...user, '--verbose', '--help'], {
      signal,
      timeoutMs: 30_000,
    });
    return settingsFrom(parseHelp(stdout), false);
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    const why = error.lastLines(3) || error.message;
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `mariadb.defaultsFile: mariadbd does not understand ${defaultsFile}: ${why}`, {
      cause: error,
    });
  }
}

async function readable(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    if (isAbort(cause)) throw cause;
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `mariadb.defaultsFile: ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** The table at the end of `mariadbd --verbose --help`: name, blanks, value. */
export function parseHelp(text: string): Map<string, string> {
  const table = text.slice(Math.max(0, text.search(/^Variables \(--variable-name=value\)/m)));
  const values = new Map<string, string>();
  for (const line of table.split('\n')) {
    const match = /^([a-z][a-z0-9-]*)(?: +(.*))?$/.exec(line);
    if (match?.[1] === undefined) continue;
    values.set(match[1], match[2] === undefined || match[2] === '(No default value)' ? '' : match[2]);
  }
  return values;
}

const NEEDED_FILES = [
  'socket',
  'pid-file',
  'log-error',
  'log-bin-index',
  'relay-log',
  'relay-log-index',
  'relay-log-info-file',
  'master-info-file',
  'general-log-file',
  'slow-query-log-file',
] as const;
/** Each may be several, separated by colons. */
const NEEDED_DIRECTORIES = ['tmpdir', 'slave-load-tmpdir', 'innodb-tmpdir'] as const;

/** Both sources name things alike, but for what only a running server knows (`*-basename`). */
function settingsFrom(values: ReadonlyMap<string, string>, running: boolean): ServerSettings {
  const text = (name: string): string => values.get(name) ?? '';
  const datadir = resolve(text('datadir'));
  const path = (value: string): string => (value === '' ? '' : resolve(datadir, value));
  const logBin = running ? text('log-bin') === 'ON' : !['', '0', 'FALSE', 'OFF'].includes(text('log-bin'));
  const logBinBasename = logBin ? path(running ? text('log-bin-basename') : text('log-bin')) : '';
  return {
    running,
    version: text('version'),
    serverId: Number(text('server-id')),
    port: Number(text('port')),
    datadir,
    socket: path(text('socket')),
    pidFile: path(text('pid-file')),
    errorLog: path(text('log-error')),
    logBin,
    logBinBasename,
    logBinIndex: logBin ? withIndexSuffix(path(text('log-bin-index')) || logBinBasename) : '',
    relayLogBasename: path((running && text('relay-log-basename')) || text('relay-log')),
    neededDirectories: distinct([
      ...[...NEEDED_FILES.map((name) => path(text(name))), logBinBasename].filter((file) => file !== '').map((file) => dirname(file)),
      ...NEEDED_DIRECTORIES.flatMap((name) => text(name).split(':'))
        .filter((directory) => directory !== '')
        .map(path),
    ]),
    innodbDataHomeDir: path(text('innodb-data-home-dir')) || datadir,
    innodbLogGroupHomeDir: path(text('innodb-log-group-home-dir')) || datadir,
    innodbUndoDirectory: path(text('innodb-undo-directory')) || datadir,
    ariaLogDirPath: path(text('aria-log-dir-path')) || datadir,
    innodbDataFilePath: text('innodb-data-file-path'),
  };
}

const distinct = (paths: readonly string[]): string[] => [...new Set(paths)].sort();

/** The server appends `.index` to a name without an extension. */
const withIndexSuffix = (path: string): string => (extname(path) === '' ? `${path}.index` : path);
