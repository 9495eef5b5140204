import { dirname, join } from 'node:path';
import type { PendingFile } from './state.ts';

/** Where the engine of this node has its files. */
export interface EnginePlaces {
  /** Columnstore.xml. */
  readonly configFile: string;
  readonly dataDirectory: string;
  /** Configuration of cmapi, with its key. */
  readonly cmapiFile: string;
}

/**
 * Files of the engine that come back, and how: addresses, dbroot map and keys stay those of this system, whatever the set says. So
 * Columnstore.xml keeps all but its tuning, and the others come back only where they are gone.
 */
export const engineFiles = ({ configFile, dataDirectory, cmapiFile }: EnginePlaces): ReadonlyMap<string, PendingFile['how']> =>
  new Map([
    [configFile, 'tuning'],
    [secretsFile(dataDirectory), 'if-absent'],
    [join(dataDirectory, 'local', 'module'), 'if-absent'],
    [join(dirname(configFile), 'storagemanager.cnf'), 'if-absent'],
    [cmapiFile, 'if-absent'],
  ]);

/** The key with which the engine encrypts the password that it keeps in Columnstore.xml. */
export const secretsFile = (dataDirectory: string): string => join(dataDirectory, '.secrets');
