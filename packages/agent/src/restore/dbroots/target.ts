import { basename, dirname } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { PartColumnstore, PartManifest } from '@stillpoint/shared/manifest';
import { openEngine } from '../../columnstore/discovery/index.ts';
import type { Generation } from '../../columnstore/types.ts';
import type { AgentConfig } from '../../config/schema.ts';
import { type Account, accountOf, gidOf, ownAccount, uidOf } from '../../host/index.ts';
import type { EnginePlaces } from '../engine-files.ts';

/** The engine whose dbroots are restored, as this node's Columnstore.xml describes it. */
export interface EngineTarget extends EnginePlaces {
  /** False on a wiped host, whose Columnstore.xml comes back with the restore. */
  readonly isPresent: boolean;
  readonly generation: Generation;
  /** Empty when nothing tells it. */
  readonly version: string;
  readonly isPrimary: boolean;
  /** Dbroots that this node owns. */
  readonly owned: readonly { readonly number: number; readonly path: string }[];
  /** Directory of the saved block resolution manager, and what the names of its files begin with. */
  readonly dbrmDirectory: string;
  readonly dbrmName: string;
  readonly owner: Account;
}

/**
 * Finds the engine of this node. `own` is its own part, with `returning` true when its configuration comes back: where Columnstore.xml is gone,
 * it tells what will be there.
 * Throws RESTORE_REFUSED, or COLUMNSTORE_CONFIG for a file that cannot be understood.
 */
export async function findEngine(config: AgentConfig, own: PartManifest | undefined, returning: boolean): Promise<EngineTarget> {
  const { columnstore } = config;
  const engine = await openEngine(config);
  const places = { dataDirectory: columnstore.dataDirectory, cmapiFile: columnstore.cmapi.configFile };
  if (engine === undefined) {
    if (own?.columnstore !== undefined && returning) return { ...places, ...(await fromPart(own.columnstore)) };
    throw new StillpointError(
      'RESTORE_REFUSED',
      `There is no ${columnstore.config} on this node, so nobody knows where its dbroots belong`,
      {
        hint: 'Put it there, from the configuration in the set or from another node, or restore with the configuration.',
      },
    );
  }
  const { configFile, generation, version, module, isPrimary, owned, topology, owner, dataDirectory, contradictions } = engine;
  if (module === 0) {
    const why = contradictions.length > 0 ? contradictions.join('; ') : `${configFile} names no module for it`;
    throw new StillpointError('COLUMNSTORE_CONFIG', `It is not clear which module of the engine this node is: ${why}`);
  }
  return {
    ...{ ...places, isPresent: true, configFile, dataDirectory, generation, version, isPrimary, owned, owner },
    ...brmPlace(topology.dbrmRoot),
  };
}

const brmPlace = (dbrmRoot: string): Pick<EngineTarget, 'dbrmDirectory' | 'dbrmName'> => ({
  dbrmDirectory: dirname(dbrmRoot),
  dbrmName: basename(dbrmRoot),
});

async function fromPart(part: PartColumnstore): Promise<Omit<EngineTarget, 'dataDirectory' | 'cmapiFile'>> {
  const { configFile, generation, version, primary, dbroots, dbrmRoot } = part;
  return {
    ...{ isPresent: false, configFile, generation, version, isPrimary: primary },
    ...brmPlace(dbrmRoot),
    owned: dbroots.map(({ number, path }) => ({ number, path })),
    owner: await accountNamed(part.owner),
  };
}

/** By name, as numbers differ from host to host; that of the server where there is no such account. */
async function accountNamed(owner: string): Promise<Account> {
  const own = ownAccount();
  if (own.uid !== 0) return own;
  const [user = '', group = ''] = owner.split(':');
  const [uid, gid] = await Promise.all([uidOf(user), gidOf(group)]);
  return uid === undefined || gid === undefined ? ((await accountOf('mysql')) ?? own) : { uid, gid };
}
