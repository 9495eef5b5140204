import { expect, it } from 'vitest';
import { controllerLog } from './controller-log.ts';
import { Captured, standingClock } from './fixture/command-line.ts';
import { jsonRenderer } from './ui/json.ts';
import type { LogLevel } from './ui/renderer.ts';

/** What a user sees of three records of the controller. */
function seen(level: LogLevel): string[] {
  const stdout = new Captured();
  const log = controllerLog(jsonRenderer(stdout, standingClock()), level);
  log.info({ operation: 'backup-1' }, 'operation started');
  log.warn({ operation: 'backup-1', code: 'LOCK_TIMEOUT' }, 'not granted');
  log.warn({ nodes: ['db2', 'db3'] }, 'some repositories could not be asked');
  return stdout.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).message);
}

it('shows warnings that no event and no error tells', () => {
  expect(seen('info')).toEqual(['some repositories could not be asked (nodes: db2, db3)']);
});

it('shows everything when debugging', () => {
  expect(seen('debug')).toEqual([
    'operation started (operation: backup-1)',
    'not granted (operation: backup-1; code: LOCK_TIMEOUT)',
    'some repositories could not be asked (nodes: db2, db3)',
  ]);
});
