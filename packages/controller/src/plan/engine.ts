import { StillpointError } from '@stillpoint/shared/errors';
import type { SetManifest } from '@stillpoint/shared/manifest';
import { type ColumnstoreFacts, ColumnstoreGeneration } from '@stillpoint/shared/proto';
import type { NodeView } from './topology.ts';

/** A node that is a performance module of the engine, and what its agent says of that. */
export interface EngineNode {
  readonly node: string;
  readonly engine: ColumnstoreFacts;
}

/** The nodes that are modules of the engine, in the order of the nodes. Others run SQL only. */
export const engineNodes = (nodes: readonly NodeView[]): EngineNode[] =>
  nodes.flatMap(({ node, facts: { columnstore: engine } }) => (engine === undefined || engine.module === 0 ? [] : [{ node, engine }]));

/** True on the node that suspends and saves for all: the owner of dbroot 1. */
export const isEnginePrimary = ({ module, primaryModule }: ColumnstoreFacts): boolean => module !== 0 && module === primaryModule;

/** Dbroots that a node owns. */
export const ownedDbroots = ({ dbroots }: ColumnstoreFacts): ColumnstoreFacts['dbroots'] => dbroots.filter(({ owned }) => owned);

/** The one node that suspends and saves for all; undefined without an engine. Throws COLUMNSTORE_CONFIG when it is none, or more than one. */
export function enginePrimary(nodes: readonly EngineNode[]): EngineNode | undefined {
  const [primary, ...more] = nodes.filter(({ engine }) => isEnginePrimary(engine));
  if (nodes.length === 0 || (primary !== undefined && more.length === 0)) return primary;
  const names = (some: readonly EngineNode[]): string => some.map(({ node }) => node).join(', ');
  const found = primary === undefined ? 'none does' : `${names([primary, ...more])} all say that they do`;
  throw new StillpointError('COLUMNSTORE_CONFIG', `one of ${names(nodes)} must own dbroot 1 and run controllernode, and ${found}`);
}

/** How releases are laid out, from the oldest to the newest. */
const GENERATIONS = ['oam', '1.4', '5', '22.08'] as const;

export type Generation = NonNullable<SetManifest['columnstore']>['generation'];

/** In the word of the manifests; undefined when the agent does not know it. */
export const generationOf = ({ generation }: ColumnstoreFacts): Generation | undefined => WORDS.get(generation);

const WORDS: ReadonlyMap<ColumnstoreGeneration, Generation> = new Map([
  [ColumnstoreGeneration.OAM, 'oam'],
  [ColumnstoreGeneration.V1_4, '1.4'],
  [ColumnstoreGeneration.V5, '5'],
  [ColumnstoreGeneration.V22_08, '22.08'],
]);

/** An engine as far as its age counts. */
export interface EngineAge {
  readonly generation: Generation;
  /** Empty when nothing tells it. */
  readonly version: string;
}

/** True when `one` is of an older layout or major version than `other`: it cannot read the other's extent map. */
export function isOlder(one: EngineAge, other: EngineAge): boolean {
  const [a, b] = [one, other].map(({ version }) => Number.parseInt(version, 10));
  return GENERATIONS.indexOf(one.generation) < GENERATIONS.indexOf(other.generation) || (a ?? Number.NaN) < (b ?? Number.NaN);
}
