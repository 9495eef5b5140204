import { join, relative } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { PartColumnstore, PartDbroot } from '@stillpoint/shared/manifest';
import type { StageTask } from '@stillpoint/shared/proto';
import type { Generation } from '../../columnstore/types.ts';
import { isWithin } from '../places.ts';
import type { PartSource } from '../source.ts';
import type { EngineTarget } from './target.ts';

/** A dbroot of the set, and where it goes. */
export interface PlannedDbroot {
  readonly number: number;
  /** As Columnstore.xml has it: it may lead through links. */
  readonly path: string;
  /** Undefined for one that becomes empty. */
  readonly image: { readonly source: PartSource; readonly dbroot: PartDbroot } | undefined;
}

/**
 * What becomes of each dbroot that this node owns, in order of their numbers. Pure.
 * Throws RESTORE_REFUSED when task and node disagree on what is owned, when the set is of a newer engine than this node has, or
 * when it keeps the block resolution manager elsewhere; MANIFEST_INVALID when a part does not hold what it should.
 */
export function planDbroots(
  spec: Pick<StageTask, 'dbroots' | 'emptyDbroots'>,
  target: EngineTarget,
  sources: ReadonlyMap<number, PartSource>,
): PlannedDbroot[] {
  const named = [...spec.dbroots.map(({ number }) => number), ...spec.emptyDbroots];
  const owned = target.owned.map(({ number }) => number);
  const disagreed = [
    ...new Set([...named.filter((number) => !owned.includes(number)), ...owned.filter((number) => !named.includes(number))]),
  ];
  if (disagreed.length > 0 || new Set(named).size < named.length) {
    const message = `The restore is of dbroots ${list(named)}, but ${target.configFile} says that this node owns ${list(owned)}`;
    throw new StillpointError('RESTORE_REFUSED', message, { hint: 'Has the mapping changed since the plan was made? Make a new one.' });
  }
  return target.owned.map(({ number, path }) => {
    const source = sources.get(number);
    if (number === 1 && source === undefined)
      throw new StillpointError(
        'RESTORE_REFUSED',
        'The set has no dbroot 1, where the block resolution manager is: nothing can be read without it',
      );
    return { number, path, image: source === undefined ? undefined : imageOf(source, number, path, target) };
  });
}

const list = (numbers: readonly number[]): string => (numbers.length === 0 ? 'none' : numbers.toSorted((a, b) => a - b).join(', '));

function imageOf(source: PartSource, number: number, path: string, target: EngineTarget): NonNullable<PlannedDbroot['image']> {
  const { node, columnstore } = source.part;
  const dbroot = columnstore?.dbroots.find((each) => each.number === number);
  if (columnstore === undefined || dbroot === undefined)
    throw new StillpointError('MANIFEST_INVALID', `The part of ${node} holds no dbroot ${number}`);
  refuseNewer(columnstore, target);
  if (number === 1) refuseOtherPlace(columnstore, dbroot, path, target);
  return { source, dbroot };
}

const ORDER: readonly Generation[] = ['oam', '1.4', '5', '22.08'];
const majorOf = (version: string): number => Number.parseInt(version, 10);

/** An older engine cannot read the extent map of a newer one. */
function refuseNewer(set: PartColumnstore, target: EngineTarget): void {
  const [then, now] = [majorOf(set.version), majorOf(target.version)];
  const isNewer = ORDER.indexOf(set.generation) > ORDER.indexOf(target.generation) || then > now;
  if (!isNewer) return;
  const named = ({ generation, version }: { generation: Generation; version: string }): string => version || `of generation ${generation}`;
  throw new StillpointError(
    'RESTORE_REFUSED',
    `The set is of an engine ${named(set)}; this node has one ${named(target)}, which cannot read it`,
    {
      hint: 'Install the engine of the set, or a newer one.',
    },
  );
}

/** The saved block resolution manager travels in dbroot 1, and the engine must look for it where it will be. */
function refuseOtherPlace(
  set: PartColumnstore,
  { path: before }: PartDbroot,
  path: string,
  { dbrmDirectory, dbrmName, configFile }: EngineTarget,
): void {
  const then = relative(before, set.dbrmRoot);
  const isThere = isWithin(set.dbrmRoot, before) && isWithin(dbrmDirectory, path);
  if (isThere && then === join(relative(path, dbrmDirectory), dbrmName)) return;
  throw new StillpointError(
    'RESTORE_REFUSED',
    `In the set the block resolution manager is ${set.dbrmRoot} with dbroot 1 in ${before}; ${configFile} has it in ${dbrmDirectory} with dbroot 1 in ${path}`,
    { hint: 'Set SystemConfig/DBRMRoot in Columnstore.xml to the same place in dbroot 1.' },
  );
}
