import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';
import { runningProcesses } from '../service/processes.ts';
import type { Engine } from '../types.ts';
import type { FindRunning } from './contradictions.ts';

/** Any of these that runs shows that the engine was started here. */
const EVERYWHERE = ['workernode', 'PrimProc', 'WriteEngineServer'] as const;

/**
 * What Columnstore.xml has on this node and is not there, a sentence each that names both sides: a dbroot that cannot be read, the data of
 * dbroot 1, controllernode beside the rest of a running engine. A backup needs all of it; a restore brings it.
 */
export async function missingHere(engine: Engine, find: FindRunning = runningProcesses): Promise<string[]> {
  const dbroots = await Promise.all(engine.owned.map((dbroot) => missingOf(engine, dbroot)));
  return [...dbroots.flat(), ...(await missingController(engine, find))];
}

async function missingOf(
  { configFile, isPrimary }: Engine,
  { number, path }: { readonly number: number; readonly path: string },
): Promise<string[]> {
  const has = `${configFile} has dbroot ${number} on this node in ${path}`;
  const why = await refusalOf(path);
  if (why !== undefined) return [`${has}, but ${why}`];
  // The columns of the system catalog, OID 1001 and on, lie in the first dbroot of every engine that was ever started.
  if (!isPrimary || number !== 1 || (await refusalOf(join(path, '000.dir'))) === undefined) return [];
  return [`${has}, but there is no data of the engine in it (000.dir)`];
}

/** Why a directory cannot be read; undefined when it can. */
async function refusalOf(path: string): Promise<string | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return 'that is no directory';
    await access(path, constants.R_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const errno = errnoOf(error);
    return errno === 'ENOENT' || errno === 'ENOTDIR' ? 'there is no such directory' : `it cannot be read: ${errno ?? String(error)}`;
  }
}

async function missingController({ configFile, isPrimary }: Engine, find: FindRunning): Promise<string[]> {
  if (!isPrimary) return [];
  const [running] = await find(EVERYWHERE);
  if (running === undefined || (await find(['controllernode'])).length > 0) return [];
  return [
    `${configFile} has dbroot 1 on this node, where controllernode belongs, but that does not run, and ${running.name} does (process ${running.pid})`,
  ];
}
