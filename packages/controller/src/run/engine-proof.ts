import { StillpointError } from '@stillpoint/shared/errors';
import type { ProveEngineResult, ScannedTable } from '@stillpoint/shared/proto';

/** What reading every table whole has shown on one node. */
export interface EngineReading {
  readonly node: string;
  readonly result: ProveEngineResult;
}

/** Differences that are named. */
const SHOWN = 5;

/**
 * Whether all nodes have read the same. An engine says that it is ready also where a node has no block resolution manager, or an old one;
 * then its tables are missing, or other rows are in them. Pure. Throws ENGINE_PROOF_FAILED naming tables and both nodes.
 */
export function requireSameTables(readings: readonly EngineReading[]): void {
  const [first, ...others] = readings;
  if (first === undefined) return;
  const told = others.flatMap((other) => differences(first, other));
  if (told.length === 0) return;
  const more = told.length > SHOWN ? `; and ${told.length - SHOWN} more` : '';
  throw new StillpointError('ENGINE_PROOF_FAILED', `${told.slice(0, SHOWN).join('; ')}${more}`);
}

function differences(one: EngineReading, two: EngineReading): string[] {
  const [here, there] = [byName(one), byName(two)];
  return [...new Set([...here.keys(), ...there.keys()])].sort().flatMap((name) => {
    const [a, b] = [here.get(name), there.get(name)];
    if (a === undefined || b === undefined) {
      const [has, lacks] = a === undefined ? [two.node, one.node] : [one.node, two.node];
      return [`${name} can be read on ${has} and is not there on ${lacks}`];
    }
    if (a.rows !== b.rows) return [`${name} has ${a.rows} rows on ${one.node} and ${b.rows} on ${two.node}`];
    return a.digest === b.digest ? [] : [`${name} reads differently on ${one.node} (${a.digest}) and on ${two.node} (${b.digest})`];
  });
}

const byName = ({ result }: EngineReading): ReadonlyMap<string, ScannedTable> =>
  new Map(result.tables.map((each) => [`${each.database}.${each.table}`, each]));
