import type { EngineStatus } from '../../types.ts';

/** Columns of the table, characters; the title `System NAME` above it has other ones. */
const STATUS_FROM = 14;
const STATUS_TO = STATUS_FROM + 29;

/**
 * The row of the system in `mcsadmin getSystemStatus`, by its exact words. Suspended is `read-only`; one that is about to be suspended
 * is neither. ACTIVE says nothing about controllernode: ask dbrmctl too. Pure.
 */
export function parseSystemStatus(stdout: string): EngineStatus {
  const lines = stdout.split('\n');
  const ruler = lines.findIndex((line) => line.startsWith('------------'));
  const row = ruler === -1 ? undefined : lines.slice(ruler).find((line) => line.slice(0, STATUS_FROM) === 'System'.padEnd(STATUS_FROM));
  const cell = row?.slice(STATUS_FROM, STATUS_TO).trim() ?? '';
  const match = /^([A-Z_]+)( WRITE SUSPENDED| WRITE SUSPEND PENDING| SHUTDOWN PENDING)?$/.exec(cell);
  if (match?.[1] === undefined) return { mode: 'unknown', text: shortened(stdout), ready: false };
  const text = `${match[1]}${match[2] ?? ''}`;
  if (match[2] === ' WRITE SUSPENDED') return { mode: 'read-only', text, ready: false };
  if (match[2] !== undefined) return { mode: 'unknown', text, ready: false };
  return { mode: 'read-write', text, ready: match[1] === 'ACTIVE' };
}

/** Requests of mcsadmin that change something. */
export type McsadminRequest = 'suspend' | 'resume' | 'stop';

/** A line that says it was done; that of a suspension has no capital S in Columnstore, and is older in 1.0. */
const DONE: Readonly<Record<McsadminRequest, RegExp>> = {
  suspend: /^Suspend (?:MariaDB Columnstore|Calpont) Database Writes Request successfully completed$/,
  resume: /^Resume MariaDB ColumnStore Database Writes Request successfully completed$/,
  // A shutdown may end with the words of a stop. One that says more has stopped this node only.
  stop: /^Successful (?:stop|shutdown) of System$/,
};

/** It asks, gets no answer, and takes that for a no. */
const PROMPTS = ['Do you want to proceed', 'What would you like to do', 'Please enter:'];

/**
 * Why a request was not carried out, in the words of mcsadmin; undefined when it says that it was. Its exit code is 0 whatever happened.
 * An output with a question in it is a refusal, whatever else it says. Pure.
 */
export function refusalOf(request: McsadminRequest, stdout: string): string | undefined {
  const lines = stdout.split('\n').map((line) => line.trim());
  const prompt = lines.find((line) => PROMPTS.some((question) => line.includes(question)));
  if (prompt !== undefined) return `it asked "${prompt}", which nobody may answer for you; it said: ${shortened(stdout)}`;
  const failure = lines.find((line) => line.startsWith('**** '));
  if (failure !== undefined) return failure.replace(/^\*+ */, '');
  return lines.some((line) => DONE[request].test(line)) ? undefined : shortened(stdout);
}

const shortened = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  if (line === '') return 'nothing';
  return line.length > LONGEST ? `${line.slice(0, LONGEST)} ...` : line;
};

const LONGEST = 400;
