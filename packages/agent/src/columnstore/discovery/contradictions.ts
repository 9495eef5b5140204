import { lookup } from 'node:dns/promises';
import { hostname, networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { exists, processesNamed } from '../../host/index.ts';
import { isWithin } from '../paths.ts';
import type { Engine, Module } from '../types.ts';

const LOOKUP_MS = 2_000;

/** Where Columnstore.xml and this node disagree: sentences that name both sides. `named` is the module that local/module names. */
export async function contradictionsOf(engine: Omit<Engine, 'contradictions'>, named: number): Promise<string[]> {
  const { module, topology, configFile, dataDirectory } = engine;
  const moduleFile = join(dataDirectory, 'local', 'module');
  if (module === 0) {
    const there = topology.modules.map(({ id }) => `pm${id}`).join(', ');
    return [
      `${moduleFile} says that this node is ${named === 0 ? 'no performance module' : `pm${named}`}, but ${configFile} names ${there}`,
    ];
  }
  const self = topology.modules.find(({ id }) => id === module);
  return [
    ...(self === undefined ? [] : await addressOf(engine, self)),
    ...(await dbrootsOf(engine)),
    ...(await controllerOf(engine)),
    ...placeOfBrm(engine),
  ];
}

async function addressOf({ configFile, topology }: Omit<Engine, 'contradictions'>, self: Module): Promise<string[]> {
  const named = [...self.addresses, ...self.hostNames];
  // The file of a single node, as it is shipped, says localhost.
  if (topology.modules.length === 1 && named.some(isLoopback)) return [];
  const own = ownAddresses();
  for (const name of named) if (own.has(name) || (await addressesOf(name)).some((address) => own.has(address))) return [];
  return [`${configFile} has pm${self.id} at ${named.join(', ')}, but this host is ${hostname()} with ${[...own].join(', ')}`];
}

const isLoopback = (name: string): boolean => name === 'localhost' || name.startsWith('127.') || name === '::1';

/** Addresses of this host, and its name; loopback is every host's. */
function ownAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return new Set([...all.filter(({ internal }) => !internal).map(({ address }) => address), hostname()]);
}

async function addressesOf(name: string): Promise<string[]> {
  const late = new Promise<string[]>((resolve) => setTimeout(() => resolve([]), LOOKUP_MS).unref());
  const found = lookup(name, { all: true }).then(
    (entries) => entries.map(({ address }) => address),
    () => [],
  );
  return Promise.race([found, late]);
}

/** An owned dbroot must be there. The system catalog, OID 1001 and on, makes the first one more than an empty directory. */
async function dbrootsOf({ configFile, owned, isPrimary }: Omit<Engine, 'contradictions'>): Promise<string[]> {
  const told: string[] = [];
  for (const { number, path } of owned) {
    if (!(await exists(path))) told.push(`${configFile} has dbroot ${number} on this node in ${path}, but there is no such directory`);
    else if (isPrimary && number === 1 && !(await exists(join(path, '000.dir')))) {
      told.push(`${configFile} has dbroot 1 on this node in ${path}, but there is no data of the engine in it (000.dir)`);
    }
  }
  return told;
}

async function controllerOf({ configFile, isPrimary, topology }: Omit<Engine, 'contradictions'>): Promise<string[]> {
  const [controller] = await processesNamed(['controllernode']);
  if (controller !== undefined && !isPrimary) {
    return [
      `controllernode runs on this node as process ${controller.pid}, but ${configFile} has dbroot 1 on pm${topology.primaryModule}, whose node runs it`,
    ];
  }
  return [];
}

function placeOfBrm({ configFile, topology }: Omit<Engine, 'contradictions'>): string[] {
  const first = topology.dbroots.get(1);
  const place = dirname(topology.dbrmRoot);
  return first === undefined || isWithin(place, first) ? [] : [`${configFile} has DBRMRoot in ${place}, but dbroot 1 in ${first}`];
}
