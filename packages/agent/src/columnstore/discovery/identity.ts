import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import type { ConfigDocument } from '../configuration/document.ts';
import { hasUserModule } from '../configuration/topology.ts';
import type { Module, Topology } from '../types.ts';
import { isLoopback, isThisHost, thisHost } from './this-host.ts';

/** Which module a node is. */
export interface Identity {
  /** 0 for none, and where that is in doubt. */
  readonly module: number;
  /** What puts it in doubt, a sentence each. */
  readonly doubts: readonly string[];
}

/**
 * Which performance module this node is: local/module names it, and its address in the configuration must be one of this host. Throws
 * COLUMNSTORE_CONFIG when local/module cannot be read.
 */
export async function identityOf(config: ConfigDocument, topology: Topology, dataDirectory: string): Promise<Identity> {
  const moduleFile = join(dataDirectory, 'local', 'module');
  const text = await readName(moduleFile);
  // User modules, of releases before 1.4, own no data: there is nothing on them to disagree about.
  const user = /^um([1-9]\d*)$/.exec(text ?? '')?.[1];
  if (user !== undefined && hasUserModule(config, Number(user))) return { module: 0, doubts: [] };
  // Without the file the engine takes every node for pm1.
  const says = text === undefined ? `${moduleFile} is missing, which stands for pm1` : `${moduleFile} says ${text || 'nothing'}`;
  const named = text === undefined ? 1 : Number(/^pm([1-9]\d*)$/.exec(text)?.[1] ?? '0');
  const module = topology.modules.find(({ id }) => id === named);
  if (module === undefined) {
    return { module: 0, doubts: [`${says}, but ${config.file} names ${topology.modules.map(({ id }) => `pm${id}`).join(', ')}`] };
  }
  if (await isAt(module, topology)) return { module: named, doubts: [] };
  const at = [...module.addresses, ...module.hostNames].join(', ');
  return { module: 0, doubts: [`${says}, and ${config.file} has pm${named} at ${at}, but this host is ${thisHost()}`] };
}

/** The file of a single node, as it is shipped, says localhost. */
async function isAt({ addresses, hostNames }: Module, { modules }: Topology): Promise<boolean> {
  const names = [...addresses, ...hostNames];
  return (modules.length === 1 && names.some(isLoopback)) || isThisHost(names);
}

/** Undefined when there is no such file. */
async function readName(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw new StillpointError('COLUMNSTORE_CONFIG', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
