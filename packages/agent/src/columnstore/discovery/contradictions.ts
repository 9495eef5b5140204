import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isWithin } from '../paths.ts';
import type { RunningProcess } from '../service/processes.ts';
import type { Engine } from '../types.ts';
import { isLoopback, isThisHost } from './this-host.ts';

/** An engine before anybody has looked whether it fits the node. */
export type FiledEngine = Omit<Engine, 'contradictions'>;

/** Finds processes of this node by their names. */
export type FindRunning = (names: readonly string[]) => Promise<readonly RunningProcess[]>;

/**
 * Where Columnstore.xml disagrees with itself or with this node: sentences that name both sides. What is not there yet or any more is no
 * disagreement: see `missingHere`. Only for a node whose module is known.
 */
export async function contradictionsOf(engine: FiledEngine, find: FindRunning): Promise<string[]> {
  return [...(await addressOfController(engine)), ...(await strayController(engine, find)), ...(await placeOfBrm(engine))];
}

/** controllernode belongs to the owner of dbroot 1, by whatever name the file calls it. */
async function addressOfController({ configFile, topology, isPrimary }: FiledEngine): Promise<string[]> {
  const { modules, primaryModule, controllerHost } = topology;
  if (modules.length === 1 && isLoopback(controllerHost)) return [];
  const has = `${configFile} has controllernode (DBRM_Controller) at ${controllerHost}`;
  const wanted = controllerHost.toLowerCase();
  const named = modules.filter(({ addresses, hostNames }) => [...addresses, ...hostNames].some((name) => name.toLowerCase() === wanted));
  if (named.length > 0) {
    if (named.some(({ id }) => id === primaryModule)) return [];
    return [`${has}, which is ${named.map(({ id }) => `pm${id}`).join(', ')}, but dbroot 1 on pm${primaryModule}`];
  }
  const isHere = await isThisHost([controllerHost]);
  if (isHere === isPrimary) return [];
  return isHere
    ? [`${has}, which is this host, but dbroot 1 on pm${primaryModule}, which is another`]
    : [`${has}, which does not lead to this host, but dbroot 1 on pm${primaryModule}, which is this host`];
}

async function strayController({ configFile, isPrimary, topology }: FiledEngine, find: FindRunning): Promise<string[]> {
  if (isPrimary) return [];
  return (await find(['controllernode'])).map(
    ({ pid }) =>
      `controllernode runs on this node (process ${pid}), but ${configFile} has dbroot 1 on pm${topology.primaryModule}, where it belongs`,
  );
}

async function placeOfBrm({ configFile, topology }: FiledEngine): Promise<string[]> {
  const first = topology.dbroots.get(1);
  const place = dirname(topology.dbrmRoot);
  if (first === undefined || isWithin(place, first)) return [];
  // One of them may be named by way of a link.
  const [realPlace, realFirst] = await Promise.all([place, first].map((path) => realpath(path).catch(() => path)));
  if (realPlace !== undefined && realFirst !== undefined && isWithin(realPlace, realFirst)) return [];
  return [`${configFile} has DBRMRoot in ${place}, but dbroot 1 in ${first}, and it belongs below that`];
}
