import { StillpointError } from '@stillpoint/shared/errors';
import type { MemberRole } from '@stillpoint/shared/manifest';
import { formatDuration } from '@stillpoint/shared/time';
import type { BackupSettings } from '../config/schema.ts';
import { type CaptureStrategy, capturesOf, type PlannedCapture } from './capture-strategies.ts';
import { type EngineNode, engineNodes, enginePrimary, isEnginePrimary, ownedDbroots } from './engine.ts';
import type { ChosenParent } from './parent.ts';
import type { BackupStep } from './steps.ts';
import { type PlannedStorage, storageOf } from './storage.ts';
import { type NodeView, type Placement, placementsOf } from './topology.ts';

/** One phase: its steps run on all their nodes in parallel, and all end before the next phase begins. */
export interface BackupPhase {
  readonly phase: BackupStep['kind'];
  readonly nodes: readonly string[];
  readonly blocksWriters: boolean;
  readonly bound: string;
  readonly steps: readonly BackupStep[];
}

/** A dbroot whose image a node takes. */
export interface BackupDbroot {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
}

/** What a backup does on one node. */
export interface BackupNode {
  readonly node: string;
  readonly roles: readonly MemberRole[];
  /** Node that it replicates from; empty for none, or one outside of the cluster. */
  readonly source: string;
  /** How its images are taken, and why in this way. */
  readonly captures: readonly PlannedCapture[];
  /** Bytes to read: the server's files and the dbroots. */
  readonly dataBytes: number;
  /** Dbroots that it owns; none on a node without ColumnStore. */
  readonly dbroots: readonly BackupDbroot[];
  readonly repository: string;
  readonly freeBytes: number;
}

/** The engine that is suspended. */
export interface BackupEngine {
  readonly version: string;
  /** ConfigRevision that all nodes must have until the end. */
  readonly configRevision: number;
  /** Node that suspends and saves for all. */
  readonly primary: string;
  /** What sets it read-only: dbrmctl, cmapi or mcsadmin. */
  readonly driver: string;
}

/** What a backup would do, before it does it; shown by `backup create --dry-run`. */
export interface BackupPlan {
  readonly cluster: string;
  readonly nodes: readonly BackupNode[];
  /** Undefined in a cluster without ColumnStore. */
  readonly columnstore: BackupEngine | undefined;
  /** Phases in order. */
  readonly phases: readonly BackupPhase[];
  readonly lockTimeoutMs: number;
  readonly maxBlockMs: number;
  readonly storage: PlannedStorage;
  /** Set of which this one is made as an increment; undefined for a full one. What a node has no part of there it takes in full. */
  readonly parent?: string | undefined;
  readonly warnings: readonly string[];
}

/** Plans a backup of all nodes. Pure. Throws NO_SQL_NODE, and COLUMNSTORE_CONFIG when it is not clear which node suspends the engine. */
export function planBackup(
  cluster: string,
  views: readonly NodeView[],
  settings: BackupSettings,
  { parent, warnings }: ChosenParent = { parent: undefined, warnings: [] },
): BackupPlan {
  const placements = placementsOf(views);
  if (!placements.some(({ roles }) => roles.includes('sql'))) {
    throw new StillpointError('NO_SQL_NODE', `none of ${views.map(({ node }) => node).join(', ')} has a MariaDB server`);
  }
  const engines = engineNodes(views);
  const nodes = views.map((view) => plannedNode(view, placements, engines, settings.capture));
  return {
    cluster,
    nodes,
    columnstore: engineOf(engines, views),
    phases: phasesOf(placements, engines, nodes, settings, parent),
    lockTimeoutMs: settings.lockTimeout,
    maxBlockMs: settings.maxBlock,
    storage: storageOf(settings),
    parent,
    warnings: [...warnings, ...nodes.flatMap((node) => shortOfSpace(node, parent !== undefined))],
  };
}

function plannedNode(
  { node, facts }: NodeView,
  placements: readonly Placement[],
  engines: readonly EngineNode[],
  setting: BackupSettings['capture'],
): BackupNode {
  const placement = placements.find((place) => place.node === node);
  const engine = engines.find((each) => each.node === node)?.engine;
  const dbroots =
    engine === undefined ? [] : ownedDbroots(engine).map(({ number, path, bytes }) => ({ number, path, bytes: Number(bytes) }));
  return {
    node,
    roles: placement?.roles ?? [],
    source: placement?.source ?? '',
    captures: capturesOf(node, facts, dbroots, setting),
    dataBytes: dbroots.reduce((sum, { bytes }) => sum + bytes, Number(facts.mariadb?.datadirBytes ?? 0n)),
    dbroots,
    repository: facts.repository?.path ?? '',
    freeBytes: Number(facts.repository?.freeBytes ?? 0n),
  };
}

/** Of an increment nobody knows before how large it becomes; where a tenth of the data does not fit, one may well not either. */
const SHARE_OF_INCREMENT = 0.1;

/** How far it can be compressed nobody knows before: a disk that runs full ends the backup, and harms nothing. */
function shortOfSpace({ node, repository, dataBytes, freeBytes }: BackupNode, isIncrement: boolean): string[] {
  if (repository === '' || freeBytes >= dataBytes * (isIncrement ? SHARE_OF_INCREMENT : 1)) return [];
  const space = `${node}: ${repository} has ${freeBytes} bytes free`;
  return [
    isIncrement
      ? `${space}, and there are ${dataBytes} of data: an increment of them fits only if little has changed`
      : `${space}, and ${dataBytes} are read: it fits only if they can be compressed that far`,
  ];
}

/** An engine whose nodes nobody knows could not be suspended: without one, none may be there at all. */
function engineOf(engines: readonly EngineNode[], views: readonly NodeView[]): BackupEngine | undefined {
  const [found] = views.filter(({ facts }) => facts.columnstore !== undefined);
  if (engines.length === 0 && found !== undefined) {
    const file = found.facts.columnstore?.configFile;
    throw new StillpointError(
      'COLUMNSTORE_CONFIG',
      `ColumnStore is on ${found.node}, and by ${file} no node of the cluster is a module of it`,
    );
  }
  const primary = enginePrimary(engines);
  if (primary === undefined) return undefined;
  const { configRevision, suspendDriver, version } = primary.engine;
  return { version, configRevision: Number(configRevision), primary: primary.node, driver: suspendDriver };
}

/** Whether anything of a node is brought over before there is a lock, or has to be compared with the parent. */
const isCopiedBefore = ({ captures, dbroots }: BackupNode, parent: string | undefined): boolean =>
  captures.some(({ strategy }) => COPIED_BEFORE.includes(strategy)) || (parent !== undefined && dbroots.length > 0);

const COPIED_BEFORE: readonly CaptureStrategy[] = ['increment', 'precopy', 'reflink'];

/**
 * Every node holds and attests, also one without a server: a set is what stood still together. The engine is set read-only by its
 * primary alone; what the other modules see of it then can only be seen afterwards.
 */
function phasesOf(
  placements: readonly Placement[],
  engines: readonly EngineNode[],
  planned: readonly BackupNode[],
  settings: BackupSettings,
  parent: string | undefined,
): BackupPhase[] {
  const all = placements.map(({ node }) => node);
  const modules = engines.map(({ node }) => node);
  const primary = engines.filter(({ engine }) => isEnginePrimary(engine)).map(({ node }) => node);
  const doing = (...strategies: CaptureStrategy[]): string[] =>
    planned.filter(({ captures }) => captures.some(({ strategy }) => strategies.includes(strategy))).map(({ node }) => node);
  const others = modules.filter((node) => !primary.includes(node));
  const budget = `within ${formatDuration(settings.maxBlock)} of the first lock of an attempt`;
  const phase = (kind: BackupStep['kind'], nodes: readonly string[], blocksWriters: boolean, bound: string): BackupPhase => ({
    phase: kind,
    nodes,
    blocksWriters,
    bound,
    steps: nodes.map((node) => ({ kind, node })),
  });
  const phases = [
    phase('check', all, false, ''),
    phase(
      'precopy',
      planned.filter((one) => isCopiedBefore(one, parent)).map(({ node }) => node),
      false,
      '',
    ),
    phase('ready', all, false, ''),
    phase('park', doing('gate'), false, ''),
    phase('quiesce', all, true, `${formatDuration(settings.lockTimeout)} an attempt, ${settings.lockAttempts} attempts`),
    phase('drain', modules, true, `${formatDuration(settings.columnstore.drainTimeout)} an attempt, ${budget}`),
    phase('suspend', primary, true, budget),
    phase('confirm', others, true, budget),
    phase('flush', primary, true, budget),
    phase('capture', all, true, budget),
    phase('attest', all, true, budget),
    phase('resume', all, true, `the lease, ${formatDuration(settings.lease)}`),
    phase('publish', all, false, ''),
    phase('commit', all, false, ''),
  ];
  return phases.filter(({ nodes }) => nodes.length > 0);
}
