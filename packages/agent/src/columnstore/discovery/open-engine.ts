import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import type { AgentConfig, ColumnstoreConfig } from '../../config/schema.ts';
import { type Account, ownAccount, ownerOf } from '../../host/index.ts';
import { type ConfigDocument, parseConfig } from '../configuration/document.ts';
import { topologyOf } from '../configuration/topology.ts';
import type { Engine, Topology } from '../types.ts';
import { contradictionsOf } from './contradictions.ts';
import { releaseOf } from './release.ts';

/** Where releases before 1.4 keep their configuration. */
const OAM_CONFIG = '/usr/local/mariadb/columnstore/etc/Columnstore.xml';

/** A configuration file that is there. */
interface FoundConfig {
  readonly file: string;
  readonly text: string;
}

/**
 * The engine of this node, read from its files; undefined when there is none. Changes nothing, and works with the engine stopped. Throws
 * COLUMNSTORE_CONFIG when the file cannot be read or makes no sense.
 */
export async function openEngine({ columnstore }: Pick<AgentConfig, 'columnstore'>): Promise<Engine | undefined> {
  const found = await findConfig(columnstore);
  if (found === undefined) return undefined;
  const { file, text } = found;
  const config = parseConfig(file, text);
  const release = await releaseOf(file);
  const dataDirectory = release.generation === 'oam' ? dirname(dirname(file)) : columnstore.dataDirectory;
  const topology = withStorage(topologyOf(config), await storageManagerInUse(file));
  const named = await moduleNamedBy(join(dataDirectory, 'local', 'module'));
  const module = topology.modules.some(({ id }) => id === named) ? named : 0;
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
  return { ...engine, contradictions: await contradictionsOf(engine, named) };
}

/** The configured file, else the one of releases before 1.4; undefined when neither is there. */
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

/** Reads a configuration anew, for whoever changes it. Throws COLUMNSTORE_CONFIG. */
export const readConfig = async (file: string): Promise<ConfigDocument> => parseConfig(file, await readFile(file, 'utf8'));

const withStorage = (topology: Topology, storageManager: boolean): Topology =>
  storageManager ? { ...topology, storage: 'storagemanager' } : topology;

/** storagemanager.cnf is there in every release since 1.4; it says S3 only where objects are stored. */
async function storageManagerInUse(configFile: string): Promise<boolean> {
  const text = await readFile(join(dirname(configFile), 'storagemanager.cnf'), 'utf8').catch(() => '');
  const service = text.split('\n').find((line) => /^\s*service\s*=/.test(line));
  return service?.split('=')[1]?.trim().toLowerCase() === 's3';
}

/** The N of pmN; 1 without a file, as the engine takes it; 0 for what is no performance module. */
async function moduleNamedBy(file: string): Promise<number> {
  try {
    return Number(/^pm([1-9]\d*)$/.exec((await readFile(file, 'utf8')).trim())?.[1] ?? '0');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 1;
    throw new StillpointError('COLUMNSTORE_CONFIG', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** The data directory belongs to the engine's account in every install; without it, the first dbroot that is there tells. */
async function dataOwner(dataDirectory: string, dbroots: readonly string[]): Promise<Account> {
  for (const path of [dataDirectory, ...dbroots]) {
    const owner = await ownerOf(path).catch(() => undefined);
    if (owner !== undefined) return owner;
  }
  return ownAccount();
}
