import { StillpointError } from '@stillpoint/shared/errors';
import type { NodeFacts } from '@stillpoint/shared/proto';
import type { BackupSettings } from '../config/schema.ts';
import type { BackupDbroot } from './backup.ts';

/** How the image of one kind of storage is taken, and why in this way. */
export interface PlannedCapture {
  /** What it is the image of: `server`, or `dbroot N`. */
  readonly storage: string;
  /** Number of the dbroot; 0 for the server. */
  readonly dbroot: number;
  readonly strategy: CaptureStrategy;
  /** A sentence without its full stop. */
  readonly reason: string;
}

/**
 * Ways to take an image. `gate` and `increment` are for servers: by `gate` mariadb-backup runs before, and waits for the lock with only its last
 * stages to do; by `increment` it copies everything before, and under the lock what has changed since, for which it reads everything again. Of
 * a dbroot, `reflink` clones the files under the lock, and `precopy` copies them before, and under the lock what has changed since. `locked`
 * does everything under the lock.
 */
export type CaptureStrategy = 'gate' | 'increment' | 'reflink' | 'precopy' | 'locked';

/** Strategies for everything on a node. Pure. Throws CHECK_FAILED when one was asked for that the node cannot do. */
export function capturesOf(
  node: string,
  { mariadb, columnstore }: NodeFacts,
  dbroots: readonly BackupDbroot[],
  setting: BackupSettings['capture'],
): PlannedCapture[] {
  const server = mariadb === undefined ? [] : [serverCapture(node, mariadb.gateObstacle, setting)];
  const obstacle = (number: number): string =>
    columnstore?.dbroots.find((dbroot) => dbroot.number === number)?.reflinkObstacle ?? 'the agent does not tell';
  return [...server, ...dbroots.map(({ number }) => dbrootCapture(node, number, obstacle(number), setting))];
}

const ASKED_FOR = 'it was asked for';
const FULL_BEFORE =
  'it is copied before, and under the lock what has changed since, for which mariadb-backup reads all of it again while writers wait';

/** A word for dbroots alone says nothing of servers. */
function serverCapture(node: string, obstacle: string, setting: BackupSettings['capture']): PlannedCapture {
  const planned = (strategy: CaptureStrategy, reason: string): PlannedCapture => ({ storage: 'server', dbroot: 0, strategy, reason });
  if (setting === 'locked' || setting === 'increment') return planned(setting, ASKED_FOR);
  if (obstacle === '') return planned('gate', 'only the last stages of mariadb-backup make writers wait');
  if (setting !== 'gate') return planned('increment', `${obstacle}: ${FULL_BEFORE}`);
  throw cannot(node, 'the server', 'gate', obstacle);
}

function dbrootCapture(node: string, dbroot: number, obstacle: string, setting: BackupSettings['capture']): PlannedCapture {
  const planned = (strategy: CaptureStrategy, reason: string): PlannedCapture => ({
    storage: `dbroot ${dbroot}`,
    dbroot,
    strategy,
    reason,
  });
  if (setting === 'locked' || setting === 'precopy') return planned(setting, ASKED_FOR);
  if (obstacle === '') return planned('reflink', setting === 'reflink' ? ASKED_FOR : 'its file system clones files');
  if (setting !== 'reflink') return planned('precopy', `${obstacle}: they are copied before, and under the lock what has changed since`);
  throw cannot(node, `dbroot ${dbroot}`, 'reflink', obstacle);
}

const cannot = (node: string, what: string, strategy: CaptureStrategy, obstacle: string): StillpointError =>
  new StillpointError('CHECK_FAILED', `${node}: ${what} cannot be captured by ${strategy}: ${obstacle}`, {
    node,
    hint: 'With `--capture auto` each node does the best it can.',
  });
