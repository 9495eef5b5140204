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

/** What rounds of reading come to. */
export interface Verdict {
  /** Nodes see different data. */
  readonly failed: Differences;
  /** Read differently in every round, while clients wrote to them. */
  readonly open: Differences;
}

/**
 * What rounds of reading come to, at least one; `isLast` when there will be no other. Clients may write meanwhile, and two nodes never read at the same
 * moment: what was equal once is equal, and a difference counts only once it is clear that it is none of time. That is so for a table that no
 * node reads otherwise in the next round, for one that is missing on a node in two rounds, and, in the last round, for one that a node has always read alike
 * while others saw it change. Pure.
 */
export function verdictOf(rounds: readonly (readonly EngineReading[])[], isLast: boolean): Verdict {
  const told = rounds.map(differencesOf);
  const texts = rounds.map(textsOf);
  const failed = new Map<string, string>();
  const open = new Map<string, string>();
  for (const [name, sentence] of told.at(-1) ?? []) {
    if (!told.every((differences) => differences.has(name))) continue;
    const reads = texts.map((round) => round.map(({ node, tables }) => ({ node, text: tables.get(name) ?? MISSING })));
    const frozen = isLast ? frozenOn(reads) : [];
    if (standsStill(reads)) failed.set(name, sentence);
    else if (frozen.length > 0)
      failed.set(name, `${name} reads the same on ${frozen.join(', ')} every time, while other nodes see it change`);
    else open.set(name, sentence);
  }
  return { failed, open };
}

/** What each node reads of a table in each round. */
type Reads = readonly (readonly { readonly node: string; readonly text: string }[])[];

/** True when the last two rounds show the same everywhere, or a node on which the table is missing in both. */
function standsStill(reads: Reads): boolean {
  const [now = [], before] = reads.toReversed();
  if (before === undefined) return false;
  const isSame = ({ node, text }: Reads[number][number]): boolean => before.some((other) => other.node === node && other.text === text);
  return now.every(isSame) || now.some((read) => read.text === MISSING && isSame(read));
}

/** Nodes that read the same in every one of several rounds. */
const frozenOn = (reads: Reads): string[] =>
  (reads[0] ?? []).flatMap(({ node, text }) =>
    reads.length > 1 && reads.every((round) => round.some((other) => other.node === node && other.text === text)) ? [node] : [],
  );

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

const MISSING = 'missing';

/** What nodes read of every table, comparable. */
const textsOf = (round: readonly EngineReading[]) =>
  round.map(({ node, result }) => ({
    node,
    tables: new Map([...tablesOf(result)].map(([name, { digest, rows }]) => [name, `${rows} ${digest}`])),
  }));
