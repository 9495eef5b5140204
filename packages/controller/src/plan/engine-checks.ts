import type { CheckResult, ColumnstoreFacts } from '@stillpoint/shared/proto';
import { failed, ok, warning } from './check-results.ts';
import { type EngineNode, generationOf } from './engine.ts';
import type { Placement } from './topology.ts';

/** A node that has a Columnstore.xml; `module` of its facts is 0 when it is none of the file's. */
export type ConfiguredNode = EngineNode;

/**
 * Looks at the engine across nodes: all files say the same, every module has an agent of its own, and one node is the primary. Pure.
 * Nothing is told of a cluster without ColumnStore.
 */
export function engineChecks(nodes: readonly ConfiguredNode[], placements: readonly Placement[]): CheckResult[] {
  if (nodes.length === 0) return [];
  return [sameFile(nodes), modules(nodes), primary(nodes, placements), ...releases(nodes), ...userModules(nodes)];
}

/** What must be the same in the file of every node, in words. */
const SAID: readonly { readonly what: string; readonly of: (engine: ColumnstoreFacts) => string }[] = [
  { what: 'ConfigRevision', of: ({ configRevision }) => String(configRevision) },
  {
    what: 'the modules',
    of: ({ modules: all }) => all.map(({ id, addresses, hostNames }) => `pm${id} at ${[...addresses, ...hostNames].join('/')}`).join(', '),
  },
  {
    what: 'the owners of dbroots',
    of: ({ modules: all }) => all.map(({ id, dbroots }) => `pm${id}: ${dbroots.length === 0 ? 'none' : dbroots.join('+')}`).join(', '),
  },
  { what: 'the directories of dbroots', of: ({ dbroots }) => dbroots.map(({ number, path }) => `${number} in ${path}`).join(', ') },
  { what: 'the host of controllernode', of: ({ controllerHost }) => controllerHost },
];

/** What to do when files differ. */
export const ONE_STATE = 'Bring Columnstore.xml of all nodes to one state (under cmapi: restart cmapi where the ConfigRevision is behind).';

/** What the files of nodes say differently, a sentence each that names all sides. Pure. */
export const saidDifferently = (nodes: readonly ConfiguredNode[]): string[] =>
  SAID.flatMap(({ what, of }) => {
    const bySaying = Map.groupBy(nodes, ({ engine }) => of(engine));
    if (bySaying.size <= 1) return [];
    return [`${what}: ${[...bySaying].map(([saying, who]) => `${names(who)} have ${saying}`).join('; ')}`];
  });

/** What to do when engines differ. */
export const ONE_RELEASE = 'Install one release of ColumnStore on all nodes.';

/** Engines of different series (6.4, 22.08) or layouts in one cluster: a sentence that names all sides. What nothing tells is not compared. Pure. */
export function differentReleases(nodes: readonly ConfiguredNode[]): string[] {
  const words = ({ engine }: ConfiguredNode): string => engine.version || `generation ${generationOf(engine)}`;
  const told: ((node: ConfiguredNode) => string | undefined)[] = [
    ({ engine: { version } }) => (version === '' ? undefined : version.split('.').slice(0, 2).join('.')),
    ({ engine }) => generationOf(engine),
  ];
  const differ = told.some((of) => new Set(nodes.flatMap((node) => of(node) ?? [])).size > 1);
  if (!differ) return [];
  const sides = [...Map.groupBy(nodes, words)].map(([release, who]) => `${names(who)} have ${release}`);
  return [`the engine is of different releases: ${sides.join('; ')}`];
}

/** They take part in nothing of their own, but what is found out during a backup had better be known before the restore. */
function releases(nodes: readonly ConfiguredNode[]): CheckResult[] {
  const different = differentReleases(nodes.filter(({ engine }) => engine.module !== 0));
  return different.map((message) => warning('cluster.engine_release', message, `${ONE_RELEASE} A restore is refused until then.`));
}

/** User modules, of releases before 1.4, run SQL servers apart from the data. */
function userModules(nodes: readonly ConfiguredNode[]): CheckResult[] {
  const found = nodes.filter(
    ({ engine: { contradictions, module, modules: all } }) => module === 0 && all.length > 0 && contradictions.length === 0,
  );
  if (found.length === 0) return [];
  const message = `${names(found)} ${found.length === 1 ? 'is a user module' : 'are user modules'}, apart from the modules that hold the data`;
  return [
    warning('cluster.user_modules', message, 'Such a cluster can be backed up, but is restored by hand only: docs/restore-by-hand.md.'),
  ];
}

function sameFile(nodes: readonly ConfiguredNode[]): CheckResult {
  const name = 'cluster.columnstore';
  // A file that could not be read is told by the check of its node.
  const readable = nodes.filter(({ engine }) => engine.modules.length > 0);
  if (readable.length === 0) {
    const hint = 'Correct the file on each node: its check tells what is wrong with it.';
    return failed(name, `no Columnstore.xml of ${names(nodes)} can be understood`, hint, 'COLUMNSTORE_CONFIG');
  }
  const differences = saidDifferently(readable);
  if (differences.length === 0) return ok(name, `Columnstore.xml says the same on ${names(readable)}`);
  return failed(name, differences.join('; '), ONE_STATE, 'COLUMNSTORE_CONFIG');
}

/** A module without an agent would leave its dbroots out of the set, and its clients could write on. */
function modules(nodes: readonly ConfiguredNode[]): CheckResult {
  const name = 'cluster.modules';
  const byModule = Map.groupBy(
    nodes.filter(({ engine }) => engine.module !== 0),
    ({ engine }) => engine.module,
  );
  const twice = [...byModule].filter(([, who]) => who.length > 1).map(([id, who]) => `${names(who)} all say that they are pm${id}`);
  const wanted = new Map(nodes.flatMap(({ engine }) => engine.modules.map((module) => [module.id, module])));
  const missing = [...wanted.values()]
    .filter(({ id }) => !byModule.has(id))
    .map((module) => `no node that answers is ${describeModule(module)}`);
  const told = [...twice, ...missing];
  if (told.length === 0 && byModule.size > 0) return ok(name, [...byModule].map(([id, who]) => `pm${id} is ${names(who)}`).join(', '));
  if (told.length === 0) told.push(`it is not known which module ${names(nodes)} ${nodes.length === 1 ? 'is' : 'are'}`);
  const hint =
    'Install an agent on every module and name it in the cluster configuration: without it its dbroots would be missing from the set.';
  return failed(name, told.join('; '), hint, 'COLUMNSTORE_CONFIG');
}

/** `pm2 (mcs2), which owns dbroot 2, 5`. */
function describeModule({ id, addresses, hostNames, dbroots }: ColumnstoreFacts['modules'][number]): string {
  const owns = dbroots.length === 0 ? 'no dbroot' : `dbroot ${dbroots.join(', ')}`;
  return `pm${id} (${[...hostNames, ...addresses].join(', ')}), which owns ${owns}`;
}

function primary(nodes: readonly ConfiguredNode[], placements: readonly Placement[]): CheckResult {
  const name = 'cluster.engine_primary';
  const owners = nodes.filter(({ engine }) => engine.module !== 0 && engine.module === engine.primaryModule);
  const [owner, ...more] = owners;
  if (owner === undefined || more.length > 0) {
    const found = owner === undefined ? 'no node that answers owns' : `${names(owners)} all own`;
    return failed(name, `${found} dbroot 1`, 'Exactly one node owns dbroot 1 and runs controllernode.', 'COLUMNSTORE_CONFIG');
  }
  const source = placements.filter(({ roles }) => roles.includes('primary')).map(({ node }) => node);
  if (source.length === 0 || source.includes(owner.node)) return ok(name, `${owner.node} owns dbroot 1 and runs controllernode`);
  const message = `${owner.node} is the primary of the engine, and ${source.join(', ')} that of replication`;
  return warning(name, message, 'Tables that are created on one and written on the other are easily lost: let both be the same node.');
}

const names = (nodes: readonly ConfiguredNode[]): string => nodes.map(({ node }) => node).join(', ');
