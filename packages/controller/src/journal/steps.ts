import type { Clock } from '@stillpoint/shared/time';
import type { Database } from './database.ts';

/** How the latest attempt of a step stands. `started` after a crash means: nobody knows. */
export type StepState = 'started' | 'succeeded' | 'failed';

export interface StepRecord {
  readonly step: string;
  /** Empty for a step of the whole cluster. */
  readonly node: string;
  readonly attempt: number;
  readonly state: StepState;
  /** What it brought about, as the step itself writes it; empty unless it succeeded. */
  readonly result: string;
}

/** The steps of one operation: written before and after each, so that a restart knows. */
export interface StepJournal {
  get(step: string, node: string): StepRecord | undefined;
  all(): StepRecord[];
  started(step: string, node: string, attempt: number): void;
  succeeded(step: string, node: string, result?: string): void;
  failed(step: string, node: string, reason: string): void;
}

const COLUMNS = 'step, node, attempt, state, result';

export function stepsOf(db: Database, operationId: string, clock: Clock): StepJournal {
  const now = (): string => clock.now().toISOString();
  const ended = (step: string, node: string, state: StepState, result: string, reason: string): void =>
    db.run(
      `UPDATE steps SET state = $state, ended_at = $now, result = $result, reason = $reason
       WHERE operation_id = $operationId AND step = $step AND node = $node`,
      { operationId, step, node, state, result, reason, now: now() },
    );
  return {
    get: (step, node) =>
      db.get<StepRecord>(`SELECT ${COLUMNS} FROM steps WHERE operation_id = $operationId AND step = $step AND node = $node`, {
        operationId,
        step,
        node,
      }),
    all: () => db.all<StepRecord>(`SELECT ${COLUMNS} FROM steps WHERE operation_id = $operationId ORDER BY started_at`, { operationId }),
    started: (step, node, attempt) =>
      db.run(
        `INSERT OR REPLACE INTO steps (operation_id, step, node, attempt, state, started_at)
         VALUES ($operationId, $step, $node, $attempt, 'started', $now)`,
        { operationId, step, node, attempt, now: now() },
      ),
    succeeded: (step, node, result = '') => ended(step, node, 'succeeded', result, ''),
    failed: (step, node, reason) => ended(step, node, 'failed', '', reason),
  };
}
