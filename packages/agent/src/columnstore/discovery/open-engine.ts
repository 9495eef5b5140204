import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import type { AgentConfig, ColumnstoreConfig } from '../../config/schema.ts';
import { type Account, ownAccount, ownerOf } from '../../host/index.ts';
import { parseConfig } from '../configuration/document.ts';
import { topologyOf } from '../configuration/topology.ts';
import { runningProcesses } from '../service/processes.ts';
import type { Engine } from '../types.ts';
import { contradictionsOf, type FindRunning } from './contradictions.ts';
import { identityOf } from './identity.ts';
import { releaseOf } from './release.ts';
import { storesObjects } from './storage-manager.ts';

/** Where releases before 1.4 keep their configuration. */
const OAM_CONFIG = '/usr/local/mariadb/columnstore/etc/Columnstore.xml';

/** A configuration file that is there. */
interface FoundConfig {
  readonly file: string;
  readonly text: string;
}

/**
 * The engine of this node, read from its files; undefined when there is none. Changes nothing, and works with the engine stopped. `find`
 * looks for processes; tests pass one of their own. Throws COLUMNSTORE_CONFIG when the file cannot be read or makes no sense.
 */
export async function openEngine(
  { columnstore }: Pick<AgentConfig, 'columnstore'>,
  find: FindRunning = runningProcesses,
): Promise<Engine | undefined> {
  const found = await findConfig(columnstore);
  if (found === undefined) return undefined;
  const { file, text } = found;
  const config = parseConfig(file, text);
  const filed = topologyOf(config);
  const topology = (await storesObjects(file)) ? { ...filed, storage: 'storagemanager' as const } : filed;
  const release = await releaseOf(file);
  const dataDirectory = release.generation === 'oam' ? dirname(dirname(file)) : columnstore.dataDirectory;
  const { module, doubts } = await identityOf(config, topology, dataDirectory);
  const owned = topology.modules.find(({ id }) => id === module)?.dbroots ?? [];
  const engine = {
    configFile: file,
    configSha256: createHash('sha256').update(text).digest('hex'),
    ...release,
    dataDirectory,
    topology,
    module,
    isPrimary: module !== 0 && module === topology.primaryModule,
    owned: owned.map((number) => ({ number, path: topology.dbroots.get(number) ?? '' })),
    owner: await dataOwner(dataDirectory, [...topology.dbroots.values()]),
  };
  return { ...engine, contradictions: module === 0 ? doubts : await contradictionsOf(engine, find) };
}

/** The configured file, else the one of releases before 1.4; undefined when neither is there. Throws COLUMNSTORE_CONFIG. */
export async function findConfig({ config }: Pick<ColumnstoreConfig, 'config'>): Promise<FoundConfig | undefined> {
  for (const file of [config, OAM_CONFIG]) {
    try {
      return { file, text: await readFile(file, 'utf8') };
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') continue;
      throw new StillpointError('COLUMNSTORE_CONFIG', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
    }
  }
  return undefined;
}

/** The data directory belongs to the engine's account in every install; without it, the first dbroot that is there tells. */
async function dataOwner(dataDirectory: string, dbroots: readonly string[]): Promise<Account> {
  for (const path of [dataDirectory, ...dbroots]) {
    const owner = await ownerOf(path).catch(() => undefined);
    if (owner !== undefined) return owner;
  }
  return ownAccount();
}
