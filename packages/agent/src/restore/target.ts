import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { PartManifest } from '@stillpoint/shared/manifest';
import type { Agent } from '../agent.ts';
import type { MariadbConfig } from '../config/schema.ts';
import { exists } from '../host/index.ts';
import { configuredSettings, type ServerSettings, serverSettings } from '../mariadb/settings.ts';
import { type ServerPlace, signOfServer } from '../service/index.ts';
import { realDatadir } from './places.ts';
import { outsideLogs } from './steps.ts';

/** The server that is restored, as this node's configuration describes it. */
export interface Target {
  readonly config: MariadbConfig;
  /** Undefined on a wiped host, where its option file is gone too. */
  readonly settings: ServerSettings | undefined;
  /** Behind links. */
  readonly datadir: string;
}

/** The part of the configuration that names the server. Throws RESTORE_REFUSED on a node without one. */
export function mariadbOf({ config }: Agent): MariadbConfig {
  if (config.mariadb !== undefined) return config.mariadb;
  throw new StillpointError('RESTORE_REFUSED', `No MariaDB server is configured on ${config.node}`, {
    hint: 'Configure `mariadb` in agent.yaml.',
  });
}

/**
 * Finds the server that is restored. `returning` is the part whose configuration files come back: where the option file is gone,
 * it tells the data directory.
 * Throws RESTORE_REFUSED, LAYOUT_UNSUPPORTED or what reading the settings throws.
 */
export async function findTarget(agent: Agent, returning: PartManifest | undefined, signal: AbortSignal): Promise<Target> {
  const config = mariadbOf(agent);
  const wiped = !(await exists(config.defaultsFile)) && returning?.mariadb !== undefined;
  const settings = wiped ? undefined : await presentSettings(config, signal);
  const datadir = settings?.datadir ?? returning?.mariadb?.datadir ?? '';
  if (settings !== undefined) refuseLayout(settings);
  if (returning?.mariadb !== undefined && returning.mariadb.datadir !== datadir) {
    throw new StillpointError(
      'RESTORE_REFUSED',
      `The data directory is ${datadir}, but the configuration that comes back names ${returning.mariadb.datadir}`,
      { hint: 'Restore without the configuration, or set datadir to the old one first.' },
    );
  }
  const target = { config, settings, datadir: await realDatadir(datadir) };
  await refuseUnwritableLogs(target);
  return target;
}

/** Settings of the running server, which may have been started with others than its option file has. */
const presentSettings = (config: MariadbConfig, signal: AbortSignal): Promise<ServerSettings> =>
  serverSettings(config, signal).catch((error: unknown) => {
    if (error instanceof StillpointError && error.code === 'ACCESS_DENIED') return configuredSettings(config.defaultsFile, signal);
    throw error;
  });

function refuseLayout({
  datadir,
  innodbDataHomeDir,
  innodbLogGroupHomeDir,
  innodbUndoDirectory,
  ariaLogDirPath,
  innodbDataFilePath,
}: ServerSettings): void {
  const elsewhere = [innodbDataHomeDir, innodbLogGroupHomeDir, innodbUndoDirectory, ariaLogDirPath].find((path) => path !== datadir);
  if (elsewhere === undefined && !innodbDataFilePath.includes('/')) return;
  throw new StillpointError('LAYOUT_UNSUPPORTED', `InnoDB or Aria files lie in ${elsewhere ?? innodbDataFilePath}, not in ${datadir}`);
}

/** Logs outside of the data directory are moved aside: better refused now than half way. */
async function refuseUnwritableLogs({ settings, datadir }: Target): Promise<void> {
  if (settings === undefined) return;
  for (const directory of new Set((await outsideLogs(datadir, [settings])).map((file) => dirname(file)))) {
    await access(directory, constants.W_OK | constants.X_OK).catch(() => {
      throw new StillpointError('RESTORE_REFUSED', `The logs in ${directory} cannot be moved aside: the agent may not write there`);
    });
  }
}

/** Settings by the option file as it is now; undefined when it is gone. Throws TOOL_MISSING. */
export const optionFileSettings = (
  { defaultsFile }: MariadbConfig,
  signal: AbortSignal,
  read: typeof configuredSettings = configuredSettings,
): Promise<ServerSettings | undefined> =>
  read(defaultsFile, signal).catch((error: unknown) => {
    if (error instanceof StillpointError && error.code === 'CONFIG_FILE_UNREADABLE') return undefined;
    throw error;
  });

/** Throws SERVER_RUNNING when anything shows that a server runs there. */
export async function refuseRunning(place: ServerPlace): Promise<void> {
  const sign = await signOfServer(place);
  if (sign !== undefined) throw new StillpointError('SERVER_RUNNING', `The server on ${place.datadir ?? place.socket} runs: ${sign}`);
}
