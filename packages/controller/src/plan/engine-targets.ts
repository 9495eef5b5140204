import type { PartColumnstore } from '@stillpoint/shared/manifest';
import { type EngineNode, engineNodes, generationOf, isEnginePrimary, ownedDbroots } from './engine.ts';
import { differentReleases, ONE_RELEASE, ONE_STATE, saidDifferently } from './engine-checks.ts';
import type { PlanProblem, RestoreFacts } from './restore.ts';

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
      const reading = facts.parts.get(node);
      const { columnstore, configuration } = reading !== undefined && 'part' in reading ? reading.part : {};
      const comesBack = columnstore !== undefined && configuration?.some(({ path }) => path === columnstore.configFile);
      return comesBack ? [returning(node, columnstore)] : [];
    }),
  ];
}

const returning = (node: string, { dbroots, module, primary }: PartColumnstore): EngineTarget => ({
  ...{ node, module, primary, version: '', running: [], found: false },
  dbroots: dbroots.map(({ number, path }) => ({ number, path, bytes: 0, freeBytes: undefined })),
});

/** What of the engine's present state speaks against restoring it, whatever the set. Pure. */
export function targetProblems(targets: readonly EngineTarget[], facts: RestoreFacts): PlanProblem[] {
  const configured = facts.nodes.flatMap((view) =>
    'facts' in view && view.facts.columnstore !== undefined ? [{ node: view.node, engine: view.facts.columnstore }] : [],
  );
  const modules = configured.filter(({ node }) => targets.some((target) => target.found && target.node === node));
  const differences = saidDifferently(modules).map((message) => ({
    node: '',
    message: `Columnstore.xml differs: ${message}`,
    hint: ONE_STATE,
  }));
  return [
    ...configured.flatMap(ownProblems),
    ...differences,
    ...differentReleases(modules).map((message) => ({ node: '', message, hint: ONE_RELEASE })),
    ...strayModules(targets, modules),
    ...primaryProblems(targets),
  ];
}

/** A node that may be a module, but of which that is in doubt, would be passed over in silence. */
function ownProblems({ node, engine }: EngineNode): PlanProblem[] {
  const { configFile, contradictions, module, storage } = engine;
  const told = contradictions.map((message) => ({ node, message, hint: `Correct ${configFile}, or bring the node to it.` }));
  if (module === 0) {
    const message =
      'is a user module of ColumnStore, apart from the modules that hold the data: such a cluster is not restored by this program';
    return told.length > 0 ? told : [{ node, message, hint: 'Restore it by hand: docs/restore-by-hand.md.' }];
  }
  const unknown = { node, message: 'the release of its ColumnStore is unknown', hint: 'Is it installed completely?' };
  const elsewhere = {
    node,
    message: `keeps its ColumnStore data in ${storage}, which is not supported`,
    hint: 'Restore to a cluster with local dbroots.',
  };
  return [...told, ...(generationOf(engine) === undefined ? [unknown] : []), ...(storage === 'local' || storage === '' ? [] : [elsewhere])];
}

/** Modules that no node is: their processes cannot be stopped, and their dbroots not be replaced. */
function strayModules(targets: readonly EngineTarget[], [first]: readonly EngineNode[]): PlanProblem[] {
  const missing = (first?.engine.modules ?? []).filter(({ id }) => !targets.some(({ module }) => module === id));
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
