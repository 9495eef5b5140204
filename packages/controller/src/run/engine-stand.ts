import { StillpointError } from '@stillpoint/shared/errors';
import type { EngineStand } from '@stillpoint/shared/proto';
import type { BackupEngine } from '../plan/backup.ts';

/** What else is to be restarted: it forgets its state with controllernode. */
const RESTARTED = 'When controllernode was restarted, restart DMLProc, and ExeMgr or PrimProc, too. Then start the backup again.';
const CHANGED = 'Somebody changed the configuration of the engine during the backup. Start again when that is done.';

/**
 * Whether all nodes saw the same engine when it was suspended: one configuration, that of the plan, and one controllernode, on the
 * primary. Pure. Throws ATTEST_FAILED naming both sides.
 */
export function requireOneEngine(planned: BackupEngine, stands: ReadonlyMap<string, EngineStand>): void {
  for (const [node, { configRevision, controllerPid }] of stands) {
    const fail = (message: string, hint: string): never => {
      throw new StillpointError('ATTEST_FAILED', message, { node, hint });
    };
    const revision = Number(configRevision);
    if (revision !== planned.configRevision) {
      const now = stands.get(planned.primary)?.configRevision;
      const primary = node === planned.primary || now === undefined ? '' : ` and ${now} on ${planned.primary}`;
      fail(`ConfigRevision was ${planned.configRevision} when the backup was planned, and is ${revision} on ${node}${primary}`, CHANGED);
    }
    if (node === planned.primary && controllerPid === 0) fail('no controllernode runs on the primary of the engine', RESTARTED);
    if (node !== planned.primary && controllerPid !== 0) {
      fail(`controllernode runs here as process ${controllerPid}, and ${planned.primary} is the primary of the engine`, CHANGED);
    }
  }
}

/** Whether a node's engine is the one that was suspended. Pure. Throws ATTEST_FAILED naming what has changed, before and after. */
export function requireUnmoved(node: string, then: EngineStand, now: EngineStand | undefined): void {
  const fail = (message: string, hint: string): never => {
    throw new StillpointError('ATTEST_FAILED', message, { node, hint });
  };
  if (now === undefined) throw new StillpointError('ATTEST_FAILED', 'the agent did not tell how the suspended engine stands', { node });
  const process = ({ controllerPid, controllerStarted }: EngineStand): string =>
    controllerPid === 0 ? 'gone' : `process ${controllerPid}, started at tick ${controllerStarted}`;
  if (process(then) !== process(now)) {
    fail(`controllernode was ${process(then)} at the suspension, and is ${process(now)} now: the engine may have taken writes`, RESTARTED);
  }
  if (then.configRevision !== now.configRevision) {
    fail(`ConfigRevision was ${then.configRevision} at the suspension, and is ${now.configRevision} now`, CHANGED);
  }
  if (then.configSha256 !== now.configSha256) {
    fail(`Columnstore.xml had sha256 ${then.configSha256} at the suspension, and has ${now.configSha256} now`, CHANGED);
  }
}
