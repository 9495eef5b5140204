import type { PartColumnstore } from '@stillpoint/shared/manifest';
import { engineNodes, generationOf, isEnginePrimary, ownedDbroots } from './engine.ts';
import type { PlanProblem, RestoreFacts } from './restore.ts';
import type { NodeView } from './topology.ts';

/** A dbroot of the cluster that is restored, where it is now. */
export interface TargetDbroot {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
  /** Undefined when nobody has looked. */
  readonly freeBytes: number | undefined;
}

/** A module of the engine to restore to, as its node has it now or will have it. */
export interface EngineTarget {
  readonly node: string;
  readonly module: number;
  readonly primary: boolean;
  /** Of the engine that is installed; empty when nothing tells it. */
  readonly version: string;
  readonly dbroots: readonly TargetDbroot[];
  /** Names of processes of the engine that run. */
  readonly running: readonly string[];
  /** False where Columnstore.xml is gone and comes back with the node's own part. */
  readonly found: boolean;
}

/**
 * The modules of the engine: by what the nodes found, and on a node whose Columnstore.xml is gone, by its part, when the configuration of
 * that comes back. Pure.
 */
export function engineTargets(facts: RestoreFacts, restoreConfiguration: boolean): EngineTarget[] {
  const views = facts.nodes.filter((view) => 'facts' in view);
  const found = engineNodes(views).map(({ node, engine }): EngineTarget => {
    const { module, processes, version } = engine;
    return {
      ...{ node, module, version },
      primary: isEnginePrimary(engine),
      dbroots: ownedDbroots(engine).map(({ number, path, bytes, freeBytes }) => ({
        ...{ number, path },
        bytes: Number(bytes),
        freeBytes: Number(freeBytes),
      })),
      running: processes.filter(({ pid }) => pid !== 0).map(({ name }) => name),
      found: true,
    };
  });
  const gone = restoreConfiguration ? views.filter(({ facts: { columnstore } }) => columnstore === undefined) : [];
  return [
    ...found,
    ...gone.flatMap(({ node }) => {
      const part = facts.parts.get(node);
      return part !== undefined && 'part' in part && part.part.columnstore !== undefined ? [returning(node, part.part.columnstore)] : [];
    }),
  ];
}

const returning = (node: string, { dbroots, module, primary }: PartColumnstore): EngineTarget => ({
  ...{ node, module, primary, version: '', running: [], found: false },
  dbroots: dbroots.map(({ number, path }) => ({ number, path, bytes: 0, freeBytes: undefined })),
});

/** What of the engine's present state speaks against restoring it, whatever the set. Pure. */
export function targetProblems(targets: readonly EngineTarget[], facts: RestoreFacts): PlanProblem[] {
  const views = facts.nodes.filter((view) => 'facts' in view);
  const modules = views.filter(({ node }) => targets.some((target) => target.found && target.node === node));
  return [...modules.flatMap(ownProblems), ...disagreements(modules), ...strayModules(targets, modules), ...primaryProblems(targets)];
}

function ownProblems({ node, facts: { columnstore } }: NodeView): PlanProblem[] {
  if (columnstore === undefined) return [];
  const { configFile, contradictions, storage } = columnstore;
  return [
    ...contradictions.map((message) => ({ node, message, hint: `Correct ${configFile}, or bring the node to it.` })),
    ...(generationOf(columnstore) === undefined
      ? [{ node, message: 'the release of its ColumnStore is unknown', hint: 'Is it installed completely?' }]
      : []),
    ...(storage === 'local' || storage === ''
      ? []
      : [
          {
            node,
            message: `keeps its ColumnStore data in ${storage}, which is not supported`,
            hint: 'Restore to a cluster with local dbroots.',
          },
        ]),
  ];
}

/** Every node has its own copy of Columnstore.xml; the first one that differs from the first is told. */
function disagreements(views: readonly NodeView[]): PlanProblem[] {
  const [first, ...others] = views;
  if (first === undefined) return [];
  return others.flatMap((other) =>
    LOOKS.flatMap(([what, look]) => {
      const [one, two] = [look(first), look(other)];
      const message = `${what} is ${two} by its Columnstore.xml, and ${one} by that of ${first.node}`;
      return one === two ? [] : [{ node: other.node, message, hint: 'Bring the same Columnstore.xml to all nodes.' }];
    }),
  );
}

type Look = readonly [what: string, look: (view: NodeView) => string];

const LOOKS: readonly Look[] = [
  ['ConfigRevision', ({ facts }) => String(facts.columnstore?.configRevision ?? 0n)],
  ['the primary', ({ facts }) => `pm${facts.columnstore?.primaryModule ?? 0}`],
  [
    'the map of dbroots',
    ({ facts }) => (facts.columnstore?.modules ?? []).map(({ id, dbroots }) => `pm${id}: ${dbroots.join(', ') || 'none'}`).join('; '),
  ],
];

/** Modules that no node is: their processes cannot be stopped, and their dbroots not be replaced. */
function strayModules(targets: readonly EngineTarget[], views: readonly NodeView[]): PlanProblem[] {
  const [first] = views;
  const missing = (first?.facts.columnstore?.modules ?? []).filter(({ id }) => !targets.some(({ module }) => module === id));
  return missing.map(({ id, addresses, hostNames }) => ({
    node: first?.node ?? '',
    message: `its Columnstore.xml names module pm${id} (${[...hostNames, ...addresses].join(', ')}), which no node that answers is`,
    hint: 'Configure an agent on it in cluster.yaml, or take the module out of the engine.',
  }));
}

function primaryProblems(targets: readonly EngineTarget[]): PlanProblem[] {
  const primaries = targets.filter(({ primary }) => primary).map(({ node }) => node);
  if (primaries.length === 1 || targets.length === 0) return [];
  const message = primaries.length === 0 ? 'no node owns dbroot 1' : `${primaries.join(', ')} all say that they own dbroot 1`;
  return [{ node: '', message, hint: 'Correct Columnstore.xml: the owner of dbroot 1 runs controllernode.' }];
}
