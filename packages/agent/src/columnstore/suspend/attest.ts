import { StillpointError } from '@stillpoint/shared/errors';
import { describeLock } from '../engine/lock-words.ts';
import { tableLocks } from '../engine/table-locks.ts';
import type { Engine } from '../types.ts';
import type { ControlParts } from './parts.ts';
import { readStand } from './stand.ts';
import type { Stand } from './types.ts';

const LOCKS_MS = 10_000;

/** See `EngineControl.attest`. */
export async function attest(parts: ControlParts, since: Stand, signal: AbortSignal): Promise<Stand> {
  const { engine, driver, processes } = parts;
  const [stand, status] = await Promise.all([readStand(engine, processes), driver.status(signal)]);
  requireSameController(engine, since, stand);
  if (status.mode !== 'read-only') throw new StillpointError('ATTEST_FAILED', `The engine is no longer read-only: ${status.text}`);
  if (stand.configSha256 !== since.configSha256) {
    throw new StillpointError('ATTEST_FAILED', `${engine.configFile} was changed while the node was held still`, {
      hint: 'The map of dbroots may be another now. Let the change of the cluster be completed, then take another backup.',
    });
  }
  if (engine.isPrimary) await requireNoLock(parts, signal);
  return stand;
}

function requireSameController({ generation }: Engine, since: Stand, now: Stand): void {
  if (now.controllerPid === since.controllerPid && now.controllerStarted === since.controllerStarted) return;
  const queries = generation === '22.08' ? 'PrimProc' : 'ExeMgr';
  const became = now.controllerPid === 0 ? 'does not run any more' : `is another process now (pid ${now.controllerPid})`;
  throw new StillpointError(
    'ATTEST_FAILED',
    `controllernode (pid ${since.controllerPid}) ${became}, and with it the read-only flag was lost`,
    {
      hint: `Restart DMLProc, and ${queries} on every node: until then queries fail, though \`dbrmctl status\` says OK.`,
    },
  );
}

/** Its owner writes, and has perhaps written all the time. */
async function requireNoLock({ engine, clock }: ControlParts, signal: AbortSignal): Promise<void> {
  const { locks, unclear } = await tableLocks(engine, { signal, now: clock.now(), timeoutMs: LOCKS_MS });
  if (unclear !== undefined) throw new StillpointError('ATTEST_FAILED', `Table locks cannot be told: ${unclear}`);
  if (locks.length === 0) return;
  throw new StillpointError('ATTEST_FAILED', `A table was locked while the engine was read-only: ${locks.map(describeLock).join('; ')}`, {
    hint: 'Somebody wrote past the SQL lock. What to do when the lock stays: docs/columnstore.md.',
    tableLocks: locks,
  });
}
