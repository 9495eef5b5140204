import { dbrootStagingBytes, type PartDbroot, type SetMember } from '@stillpoint/shared/manifest';
import type { RestoreRequest } from '../api.ts';
import { generationOf, isOlder } from './engine.ts';
import { type EngineTarget, engineTargets, type TargetDbroot, targetProblems } from './engine-targets.ts';
import type { PlanProblem, RestoreFacts } from './restore.ts';

/** What happens to a dbroot. */
export interface PlannedDbroot {
  readonly number: number;
  /** Where it is on its node. */
  readonly path: string;
  /** Node whose part holds its image; empty for one that the set does not have, and that becomes empty. */
  readonly from: string;
  /** Digest of that part's manifest. */
  readonly partSha256: string;
  readonly storedBytes: number;
  /** Bytes of its files. */
  readonly dataBytes: number;
  /** Bytes needed beside the live data, on its file system. */
  readonly needBytes: number;
  /** Bytes free on its file system; undefined when nobody has looked. */
  readonly freeBytes: number | undefined;
  /** Bytes that are there now and will be kept aside. */
  readonly replacesBytes: number;
}

/** What the engine is on a node. */
export interface PlannedEngine {
  readonly module: number;
  /** It owns dbroot 1: it saves and loads for all. */
  readonly primary: boolean;
  /** Version that is installed; empty when nothing tells it. */
  readonly version: string;
  /** Processes of the engine that run. */
  readonly running: readonly string[];
}

/** The engine in a plan: what happens on each of its nodes, and what speaks against it. */
export interface EnginePlan {
  readonly nodes: ReadonlyMap<string, { readonly engine: PlannedEngine; readonly dbroots: readonly PlannedDbroot[] }>;
  readonly problems: readonly PlanProblem[];
  readonly warnings: readonly string[];
}

/**
 * Plans the engine. All of its nodes are restored together or none of them, as their dbroots and the block resolution manager are one
 * image; dbroots are matched by their numbers, wherever they were when the set was made. Pure.
 */
export function planEngine(wanted: readonly string[], request: RestoreRequest, facts: RestoreFacts): EnginePlan {
  const targets = engineTargets(facts, request.restoreConfiguration);
  const chosen = targets.filter(({ node }) => wanted.includes(node));
  const nothing = { nodes: new Map(), warnings: [] };
  if (facts.set.columnstore === undefined) return { ...nothing, problems: chosen.map(withoutImage(facts)) };
  // SQL servers that are no modules can be restored by themselves.
  if (chosen.length === 0 && request.nodes !== undefined) {
    return { ...nothing, problems: lostModules(wanted, targets, facts), warnings: definitionsAlone(wanted, facts) };
  }
  const images = imagesOf(facts.set.members);
  const planned = targets.map((target) => ({ target, dbroots: target.dbroots.map((dbroot) => plannedDbroot(dbroot, images, facts)) }));
  return {
    nodes: new Map(planned.map(({ target, dbroots }) => [target.node, { engine: plannedEngine(target), dbroots }])),
    problems: [
      ...leftOut(targets, wanted),
      ...targetProblems(targets, facts),
      ...olderEngines(facts, chosen),
      ...homeless(images, targets),
      ...planned.flatMap(({ target, dbroots }) => dbroots.flatMap((dbroot) => dbrootProblems(target.node, dbroot, images, facts))),
    ],
    warnings: planned.flatMap(({ target, dbroots }) => warningsOf(target, dbroots, facts)),
  };
}

/** A replica whose source goes on is brought up to date by it; any other has the tables of then and the rows of now. */
const definitionsAlone = (wanted: readonly string[], { set }: RestoreFacts): string[] =>
  set.members
    .filter(({ node, source }) => wanted.includes(node) && (source === '' || wanted.includes(source)))
    .map(({ node }) => `${node}: the engine stays as it is; ColumnStore tables that were made or dropped since the cut will not fit it`);

/** Nodes that held dbroots, of which no node is known to have them now: their servers would come back without a row of what they define. */
const lostModules = (wanted: readonly string[], targets: readonly EngineTarget[], { set }: RestoreFacts): PlanProblem[] =>
  set.members.flatMap(({ dbroots, node }) => {
    const lost = dbroots.filter((number) => !targets.some((target) => target.dbroots.some((dbroot) => dbroot.number === number)));
    if (!wanted.includes(node) || lost.length === 0) return [];
    const message = `held dbroot ${lost.join(', ')} of the set, which no node that answers owns now: its ColumnStore tables would have no rows`;
    return [
      { node, message, hint: 'Let its configuration come back as well, or bring Columnstore.xml back on all modules; then plan again.' },
    ];
  });

const plannedEngine = ({ module, primary, running, version }: EngineTarget): PlannedEngine => ({ module, primary, running, version });

/** Members whose parts hold a dbroot, by its number: one, in a set that is in order. */
type Images = ReadonlyMap<number, readonly SetMember[]>;

function imagesOf(members: readonly SetMember[]): Images {
  const images = new Map<number, SetMember[]>();
  for (const member of members) for (const number of member.dbroots) images.set(number, [...(images.get(number) ?? []), member]);
  return images;
}

function plannedDbroot({ number, path, bytes, freeBytes }: TargetDbroot, images: Images, facts: RestoreFacts): PlannedDbroot {
  const [member] = images.get(number) ?? [];
  const found = member === undefined ? undefined : imageIn(member.node, number, facts);
  return {
    ...{ number, path, freeBytes },
    from: member?.node ?? '',
    partSha256: member?.partSha256 ?? '',
    storedBytes: found?.storedBytes ?? 0,
    dataBytes: found?.dbroot.dataBytes ?? 0,
    needBytes: found === undefined ? 0 : dbrootStagingBytes(found.dbroot),
    replacesBytes: bytes,
  };
}

/** The image of a dbroot in the part of a node, as far as that can be read. */
function imageIn(node: string, number: number, { parts }: RestoreFacts): { dbroot: PartDbroot; storedBytes: number } | undefined {
  const reading = parts.get(node);
  if (reading === undefined || 'error' in reading) return undefined;
  const dbroot = reading.part.columnstore?.dbroots.find((each) => each.number === number);
  if (dbroot === undefined) return undefined;
  const files = [...dbroot.shards, dbroot.list];
  const stored = reading.part.shards.filter(({ name }) => files.includes(name));
  return { dbroot, storedBytes: stored.reduce((sum, { storedBytes }) => sum + storedBytes, 0) };
}

const withoutImage =
  ({ set }: RestoreFacts) =>
  ({ node }: EngineTarget): PlanProblem => ({
    node,
    message: `is a module of ColumnStore, of which set ${set.setId} holds nothing: its tables would not fit its dbroots`,
    hint: 'Restore a set that was made with ColumnStore.',
  });

function leftOut(targets: readonly EngineTarget[], wanted: readonly string[]): PlanProblem[] {
  const all = targets.map(({ node }) => node).join(', ');
  return targets
    .filter(({ node }) => !wanted.includes(node))
    .map(({ node, module }) => ({
      node,
      message: `is module pm${module} of the engine and would be left as it is: all dbroots and the block resolution manager are one image`,
      hint: `Restore ${all} together; or only nodes that are no modules.`,
    }));
}

/** An engine cannot read the extent map of a newer one. */
function olderEngines({ nodes, set }: RestoreFacts, targets: readonly EngineTarget[]): PlanProblem[] {
  return targets.flatMap(({ node }) => {
    const view = nodes.find((other) => other.node === node);
    const engine = view !== undefined && 'facts' in view ? view.facts.columnstore : undefined;
    const generation = engine === undefined ? undefined : generationOf(engine);
    if (engine === undefined || generation === undefined || set.columnstore === undefined) return [];
    if (!isOlder({ generation, version: engine.version }, set.columnstore)) return [];
    const named = (version: string, of: string): string => version || `of generation ${of}`;
    const { version, generation: then } = set.columnstore;
    return [
      {
        node,
        message: `has ColumnStore ${named(engine.version, generation)}, the set is of ${named(version, then)}, which an older one cannot read`,
        hint: `Install ColumnStore ${named(version, then)} or later on it.`,
      },
    ];
  });
}

/** Dbroots of the set that no node owns, or more than one. */
function homeless(images: Images, targets: readonly EngineTarget[]): PlanProblem[] {
  return [...images].flatMap(([number, [member, ...more]]) => {
    const homes = targets.filter(({ dbroots }) => dbroots.some((dbroot) => dbroot.number === number)).map(({ node }) => node);
    const all = [member, ...more].map((each) => each?.node).join(', ');
    const told: [boolean, string, string][] = [
      [
        homes.length === 0,
        `no node owns dbroot ${number} of the set`,
        'Give it to a module in Columnstore.xml (on all nodes), then plan again.',
      ],
      [homes.length > 1, `dbroot ${number} is owned by ${homes.join(' and by ')}`, 'Correct Columnstore.xml: a dbroot has one owner.'],
      [more.length > 0, `dbroot ${number} lies in the parts of ${all}`, 'Restore from another set.'],
    ];
    return told.flatMap(([isSo, message, hint]) => (isSo ? [{ node: '', message, hint }] : []));
  });
}

function dbrootProblems(node: string, planned: PlannedDbroot, images: Images, facts: RestoreFacts): PlanProblem[] {
  const { freeBytes, from, needBytes, number, partSha256, path } = planned;
  if (!images.has(number)) return [];
  const reading = facts.parts.get(from);
  const problem = (message: string, hint: string): PlanProblem[] => [{ node, message: `dbroot ${number}: ${message}`, hint }];
  if (reading === undefined) return problem(`its image lies on ${from}, which is not in the cluster configuration`, 'Add that node.');
  if ('error' in reading) return problem(`the part of ${from} cannot be used: ${reading.error.message}`, reading.error.hint);
  if (reading.sha256 !== partSha256)
    return problem(`part.json of ${from} is not the one that the set recorded`, 'Restore from another set.');
  if (imageIn(from, number, facts) === undefined) return problem(`the part of ${from} does not hold it`, 'Restore from another set.');
  return freeBytes !== undefined && needBytes > freeBytes
    ? problem(`needs ${needBytes} bytes beside ${path}, ${freeBytes} are free`, 'Free space on that file system.')
    : [];
}

function warningsOf(target: EngineTarget, dbroots: readonly PlannedDbroot[], { set }: RestoreFacts): string[] {
  const { node, running, version } = target;
  const emptied = dbroots.filter(({ from }) => from === '');
  const then = set.columnstore?.version ?? '';
  return [
    running.length > 0 &&
      `${node}: the engine is running (${running.join(', ')}); the restore will stop it if that is allowed (--stop-servers)`,
    !target.found &&
      `${node}: Columnstore.xml is gone; it comes back with the configuration of the node's own part. Whether its engine is new enough, staging tells`,
    version !== '' && then !== '' && version !== then && `${node}: has ColumnStore ${version}, the set is of ${then}`,
    ...emptied.map(
      ({ number, path, replacesBytes }) =>
        `${node}: dbroot ${number} is not in the set and becomes empty; the ${replacesBytes} bytes in ${path} are kept aside`,
    ),
  ].filter((text) => text !== false);
}
