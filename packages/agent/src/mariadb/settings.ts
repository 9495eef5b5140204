import type { MariadbConfig } from '../config/schema.ts';

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
  /** Whether it writes a binary log. */
  readonly logBin: boolean;
  /** Path of the binary log without its number, for example /var/log/mysql/bin; may lie outside of the data directory. Empty without binary log. */
  readonly logBinBasename: string;
  readonly logBinIndex: string;
  /** Path of the relay log without its number; empty when none is set. */
  readonly relayLogBasename: string;
  readonly innodbDataHomeDir: string;
  readonly innodbLogGroupHomeDir: string;
  readonly innodbUndoDirectory: string;
  readonly ariaLogDirPath: string;
  /** Files of the system tablespace as configured, for example ibdata1:12M:autoextend. */
  readonly innodbDataFilePath: string;
}

/**
 * Settings from the running server when it answers, else as `mariadbd --verbose --help` computes them from the option file.
 * Throws TOOL_MISSING (no mariadbd) or CONFIG_FILE_UNREADABLE (option file).
 */
export declare function serverSettings(config: MariadbConfig, signal?: AbortSignal): Promise<ServerSettings>;

/** The same without asking the server. */
export declare function configuredSettings(defaultsFile: string, signal?: AbortSignal): Promise<ServerSettings>;
