import type { EngineStatus } from '../types.ts';

/** What dbrmctl says on stdout when it did as it was told. */
export const ACCEPTED = 'OK.';

/** Every text of `dbrmctl -v status`, and what it means; the first is that of releases or calls without -v. */
const MEANING: Readonly<Record<string, Omit<EngineStatus, 'text'>>> = {
  [ACCEPTED]: { mode: 'read-write', ready: false },
  'OK. (and the system is ready)': { mode: 'read-write', ready: true },
  'OK. (but the system is not ready)': { mode: 'read-write', ready: false },
  'DBRM is currently Read Only!': { mode: 'read-only', ready: false },
  'Failure: an unspecific communication error.': { mode: 'unreachable', ready: false },
  'Failure: controller node timed out.': { mode: 'unreachable', ready: false },
};

/**
 * What `dbrmctl -v status` says, by its exact text; anything else is `unknown`. Its exit code is 0 in every state, and its noise about
 * connections goes to stderr. Read-only, it does not tell whether it is ready. Pure.
 */
export function parseDbrmStatus(stdout: string): EngineStatus {
  const text = oneLine(stdout);
  const meaning = Object.hasOwn(MEANING, text) ? MEANING[text] : undefined;
  return { ...(meaning ?? { mode: 'unknown', ready: false }), text: text === '' ? 'dbrmctl said nothing' : text };
}

/** The only line of an output, without its end; more lines are kept as they are, and so equal nothing expected. Pure. */
export const oneLine = (stdout: string): string => stdout.replace(/\n$/, '');
