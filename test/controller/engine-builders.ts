import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PartManifest, SetManifest, SetMember } from '@stillpoint/shared/manifest';
import { type ColumnstoreFactsSchema, ColumnstoreGeneration, EngineMode, Role } from '@stillpoint/shared/proto';
import type { RestoreFacts } from '../../packages/controller/src/plan/restore.ts';
import type { NodeView } from '../../packages/controller/src/plan/topology.ts';
import { follows, member, nodeView, partOf, setOf } from './builders.ts';

type Engine = Omit<Extract<MessageInitShape<typeof ColumnstoreFactsSchema>, { $typeName?: never }>, '$typeName'>;

/** Module that owns each dbroot, by number: `{ 1: 1, 2: 1, 7: 2 }` gives 1 and 2 to pm1 and 7 to pm2. */
export type DbrootMap = Readonly<Record<number, number>>;

export const ONE_EACH: DbrootMap = { 1: 1, 2: 2, 3: 3 };

const GIB = 1024 ** 3;
/** Bytes of every dbroot. */
export const DBROOT_BYTES = 3 * GIB;
/** Bytes of the list of every dbroot, as stored. */
const LIST_BYTES = 1_000;
const ENGINE_VERSION = '6.4.12';

const PROCESSES: readonly { name: string; where: 'everywhere' | 'primary' }[] = [
  { name: 'workernode', where: 'everywhere' },
  { name: 'controllernode', where: 'primary' },
  { name: 'PrimProc', where: 'everywhere' },
  { name: 'DMLProc', where: 'primary' },
];

/** Processes of the engine on a module, as an agent that starts them itself tells them. */
export const processesOn = (isPrimary: boolean, running: boolean) =>
  PROCESSES.flatMap(({ name, where }, at) =>
    where === 'everywhere' || isPrimary ? [{ name, stage: at + 1, pid: running ? 4_000 + at : 0 }] : [],
  );

const numbersOf = (map: DbrootMap): number[] =>
  Object.keys(map)
    .map(Number)
    .sort((a, b) => a - b);
export const ownedBy = (map: DbrootMap, module: number): number[] => numbersOf(map).filter((number) => map[number] === module);

/** The engine as the agent of one module tells it. */
export function engineFacts(module: number, map: DbrootMap = ONE_EACH, changes: Engine & { running?: boolean } = {}): Engine {
  const { running = false, ...others } = changes;
  const ids = [...new Set(Object.values(map))].sort((a, b) => a - b);
  return {
    configFile: '/etc/columnstore/Columnstore.xml',
    version: ENGINE_VERSION,
    generation: ColumnstoreGeneration.V5,
    configRevision: 7n,
    modules: ids.map((id) => ({ id, addresses: [`10.0.0.${id}`], hostNames: [`pm${id}`], dbroots: ownedBy(map, id), enabled: true })),
    dbroots: numbersOf(map).map((number) => ({
      number,
      path: `/var/lib/columnstore/data${number}`,
      owned: map[number] === module,
      bytes: map[number] === module ? BigInt(DBROOT_BYTES) : 0n,
      freeBytes: map[number] === module ? BigInt(50 * GIB) : 0n,
    })),
    module,
    primaryModule: map[1] ?? 0,
    controllerHost: 'pm1',
    dbrmRoot: '/var/lib/columnstore/data1/systemFiles/dbrm/BRM_saves',
    storage: 'local',
    owner: 'mysql:mysql',
    suspendDriver: 'dbrmctl',
    serviceDriver: 'commands',
    mode: EngineMode.READ_WRITE,
    status: 'OK.',
    ready: running,
    processes: processesOn(map[1] === module, running),
    loadsBrm: true,
    ...others,
  };
}

/** A module of the engine with a server; db1 is pm1. */
export const moduleView = (node: string, map: DbrootMap = ONE_EACH, changes: Parameters<typeof engineFacts>[2] = {}): NodeView =>
  nodeView(node, node === 'db1' ? { running: false } : { running: false, ...follows('10.0.0.1') }, {
    roles: [Role.SQL, Role.PM],
    columnstore: engineFacts(Number(node.slice(2)), map, changes),
  });

/** A member of a set that was made with an engine whose dbroots were mapped in this way. */
export const moduleMember = (node: string, map: DbrootMap = ONE_EACH): SetMember => {
  const plain = member(node);
  const dbroots = ownedBy(map, Number(node.slice(2)));
  return {
    ...plain,
    ...{ roles: [...plain.roles, 'pm'], dbroots },
    dataBytes: plain.dataBytes + dbroots.length * DBROOT_BYTES,
    storedBytes: plain.storedBytes + dbroots.length * (GIB + LIST_BYTES),
  };
};

/** The part of such a member. */
export function modulePart(of: SetMember, changes: Partial<PartManifest> = {}): { part: PartManifest; sha256: string } {
  const { part, sha256 } = partOf(of);
  const columnstore: PartManifest['columnstore'] = {
    ...{ version: ENGINE_VERSION, generation: '5', configFile: '/etc/columnstore/Columnstore.xml', configRevision: 7 },
    module: Number(of.node.slice(2)),
    primary: of.dbroots.includes(1),
    ...{ dbrmRoot: '/var/lib/columnstore/data1/systemFiles/dbrm/BRM_saves', brmCurrent: 'BRM_saves', owner: 'mysql:mysql' },
    dbroots: of.dbroots.map((number) => ({
      ...{ number, path: `/var/lib/columnstore/data${number}`, files: 10, directories: 4, dataBytes: DBROOT_BYTES },
      ...{ shards: [`dbroot${number}.base.0.tar.zst`], list: `dbroot${number}.files.jsonl.zst` },
    })),
  };
  const shards = of.dbroots.flatMap((number): PartManifest['shards'] => [
    { name: `dbroot${number}.base.0.tar.zst`, content: 'dbroot', encoding: 'tar+zstd', storedBytes: GIB, sha256: 'c'.repeat(64) },
    {
      name: `dbroot${number}.files.jsonl.zst`,
      content: 'dbroot-files',
      encoding: 'jsonl+zstd',
      storedBytes: LIST_BYTES,
      sha256: 'd'.repeat(64),
    },
  ]);
  const [file] = part.configuration;
  const configuration = file === undefined ? [] : [file, { ...file, path: '/etc/columnstore/Columnstore.xml' }];
  return { part: { ...part, columnstore, configuration, shards: [...part.shards, ...shards], ...changes }, sha256 };
}

/** The nodes of the modules in a map: db1 is pm1. */
const nodesOf = (map: DbrootMap): string[] => [...new Set(Object.values(map))].sort((a, b) => a - b).map((id) => `db${id}`);

const ENGINE: NonNullable<SetManifest['columnstore']> = { version: ENGINE_VERSION, generation: '5', configRevision: 7, primary: 'db1' };

/** A stopped server that is no module of the engine. */
const sqlView = (node: string): NodeView =>
  nodeView(node, node === 'db1' ? { running: false } : { running: false, ...follows('10.0.0.1') });

/** Facts for a restore from an engine with one map onto one with another. Every node has a server, and all are configured. */
export function engineRestoreFacts(then: DbrootMap = ONE_EACH, now: DbrootMap = then, sqlOnly: readonly string[] = []): RestoreFacts {
  const names = [...new Set(['db1', ...nodesOf(then), ...nodesOf(now), ...sqlOnly])].sort();
  const members = names.map((node) => (nodesOf(then).includes(node) ? moduleMember(node, then) : member(node)));
  return {
    set: { ...setOf(members), columnstore: { ...ENGINE, primary: `db${then[1] ?? 1}` } },
    nodes: names.map((node) => (nodesOf(now).includes(node) ? moduleView(node, now) : sqlView(node))),
    parts: new Map(members.map((each) => [each.node, each.dbroots.length > 0 ? modulePart(each) : partOf(each)])),
  };
}
