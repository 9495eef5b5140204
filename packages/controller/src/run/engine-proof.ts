import { StillpointError } from '@stillpoint/shared/errors';
import type { ProveEngineResult, ScannedTable } from '@stillpoint/shared/proto';

/** What reading every table whole has shown on one node. */
export interface EngineReading {
  readonly node: string;
  readonly result: ProveEngineResult;
}

/** Tables that nodes have read differently: by name, a sentence that names both nodes. */
export type Differences = ReadonlyMap<string, string>;

/** Differences that are named. */
const SHOWN = 5;

/**
 * Tables in which not all nodes have read the same. An engine says that it is ready also where a node has no block resolution manager, or an old
 * one; then its tables are missing, or other rows are in them. Pure.
 */
export function differencesOf(readings: readonly EngineReading[]): Differences {
  const [first, ...others] = readings;
  const told = new Map<string, string>();
  if (first === undefined) return told;
  for (const other of others) for (const [name, sentence] of differencesOfTwo(first, other)) if (!told.has(name)) told.set(name, sentence);
  return told;
}

/**
 * Of tables that differed in two rounds of reading, those that no node has read otherwise the second time: nobody writes to them, so
 * nodes see different data. The others are being written to, and two nodes never read them at the same moment. Pure.
 */
export function standingDifferences(before: readonly EngineReading[], now: readonly EngineReading[]): Differences {
  const earlier = differencesOf(before);
  const unchanged = (name: string): boolean =>
    now.every(({ node, result }) => {
      const was = before.find((reading) => reading.node === node);
      return was !== undefined && textOf(tablesOf(was.result).get(name)) === textOf(tablesOf(result).get(name));
    });
  return new Map([...differencesOf(now)].filter(([name]) => earlier.has(name) && unchanged(name)));
}

/** The proof has failed: tables and nodes named. */
export function proofFailure(differences: Differences): StillpointError {
  const told = [...differences.values()];
  const more = told.length > SHOWN ? `; and ${told.length - SHOWN} more` : '';
  return new StillpointError('ENGINE_PROOF_FAILED', `${told.slice(0, SHOWN).join('; ')}${more}`);
}

function differencesOfTwo(one: EngineReading, two: EngineReading): [string, string][] {
  const [here, there] = [tablesOf(one.result), tablesOf(two.result)];
  return [...new Set([...here.keys(), ...there.keys()])].sort().flatMap((name): [string, string][] => {
    const [a, b] = [here.get(name), there.get(name)];
    if (a === undefined || b === undefined) {
      const [has, lacks] = a === undefined ? [two.node, one.node] : [one.node, two.node];
      return [[name, `${name} can be read on ${has} and is not there on ${lacks}`]];
    }
    if (a.rows !== b.rows) return [[name, `${name} has ${a.rows} rows on ${one.node} and ${b.rows} on ${two.node}`]];
    if (a.digest === b.digest) return [];
    return [[name, `${name} reads differently on ${one.node} (${a.digest}) and on ${two.node} (${b.digest})`]];
  });
}

const tablesOf = ({ tables }: ProveEngineResult): ReadonlyMap<string, ScannedTable> =>
  new Map(tables.map((each) => [`${each.database}.${each.table}`, each]));

const textOf = (table: ScannedTable | undefined): string => (table === undefined ? 'missing' : `${table.rows} ${table.digest}`);
