import { chown, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Clock } from '@stillpoint/shared/time';
import { type Account, exists, ownAccount, userName } from '../host/index.ts';
import { askToShutDown } from '../mariadb/replication.ts';
import { openSession, type Session } from '../mariadb/session.ts';
import { ProgramFailure, type RunningProgram, startProgram } from '../process/index.ts';
import { lastErrors } from '../service/index.ts';

/** Which image to boot, and how. */
export interface PrivateServer {
  /** A prepared image. */
  readonly directory: string;
  /** Option file of the server that it will belong to; its plugins and formats are needed. */
  readonly defaultsFile: string;
  readonly owner: Account;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const POLL_MS = 100;
/** No crash recovery is due, so only the number of tables takes time. */
const START_TIMEOUT_MS = 600_000;
/** Shutting down in order writes pages back; a kill would leave a redo log to apply. */
const SHUTDOWN_TIMEOUT_MS = 600_000;

/**
 * Boots a server on an image that nobody else can reach: no network, a socket in a private directory, no replication,
 * no events, no binary log, no engine of ColumnStore, and nothing outside of the image that belongs to the live server. Runs `use` on it and
 * shuts it down in order.
 * Throws STAGE_FAILED, or what `use` throws.
 */
export async function withPrivateServer(server: PrivateServer, use: (session: Session) => Promise<void>): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'stillpoint-'));
  try {
    if (ownAccount().uid === 0) await chown(home, server.owner.uid, server.owner.gid);
    const running = startProgram('mariadbd', await argumentsOf(server, home), {
      ...(await identity(server.owner)).spawn,
      signal: server.signal,
    });
    try {
      const session = await connect(server, running, home);
      await use(session);
      await shutDown(running, session, home, server.signal);
    } finally {
      running.kill();
      await running.done.catch(() => undefined);
    }
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/** As whom mariadbd runs: it refuses root, reads its option file first and changes account by itself, if that has a name. */
async function identity({ uid, gid }: Account): Promise<{ option: string[]; spawn: { uid?: number; gid?: number } }> {
  if (ownAccount().uid !== 0) return { option: [], spawn: {} };
  const name = await userName(uid);
  return name === String(uid) ? { option: [], spawn: { uid, gid } } : { option: [`--user=${name}`], spawn: {} };
}

async function argumentsOf({ directory, defaultsFile, owner }: PrivateServer, home: string): Promise<string[]> {
  const configured = await exists(defaultsFile);
  return [
    // On a wiped host there is no option file yet: what the image itself must have is in its own.
    ...(configured ? [`--defaults-file=${defaultsFile}`] : ['--no-defaults', ...(await imageOptions(directory))]),
    ...(await identity(owner)).option,
    `--datadir=${directory}`,
    `--socket=${join(home, 's.sock')}`,
    `--pid-file=${join(home, 's.pid')}`,
    `--log-error=${join(home, 'error.log')}`,
    // A starting server removes all temporary tables of its tmpdir: those of the live server, if it were the same.
    `--tmpdir=${home}`,
    // The live server's option file may name its directories by path.
    '--innodb-data-home-dir=',
    '--innodb-log-group-home-dir=./',
    '--innodb-undo-directory=./',
    `--aria-log-dir-path=${directory}`,
    `--relay-log=${join(home, 'relay')}`,
    `--master-info-file=${join(home, 'master.info')}`,
    `--relay-log-info-file=${join(home, 'relay-log.info')}`,
    '--init-file=',
    '--skip-networking',
    '--skip-grant-tables',
    '--skip-slave-start',
    '--skip-log-bin',
    '--skip-slow-query-log',
    '--skip-general-log',
    '--event-scheduler=OFF',
    '--loose-wsrep-on=OFF',
    '--loose-wsrep-provider=none',
    '--performance-schema=OFF',
    '--innodb-buffer-pool-size=134217728',
    '--innodb-buffer-pool-load-at-startup=OFF',
    '--innodb-buffer-pool-dump-at-shutdown=OFF',
    '--innodb-read-only=OFF',
    '--innodb-force-recovery=0',
    '--innodb-fast-shutdown=1',
    '--skip-large-pages',
    ...WITHOUT_ENGINE,
  ];
}

/**
 * The option file loads the plugin of ColumnStore, and with it this server would speak to the engine that runs on this node: of other data. Its
 * tables are proven when they are restored.
 */
const WITHOUT_ENGINE = ['', '-columns', '-tables', '-files', '-extents'].map((plugin) => `--loose-columnstore${plugin}=OFF`);

/** InnoDB options that mariadb-backup wrote down: without them the image cannot be opened. */
async function imageOptions(directory: string): Promise<string[]> {
  const text = await readFile(join(directory, 'backup-my.cnf'), 'utf8').catch(() => '');
  const wanted = /^(innodb_(?:page_size|data_file_path|undo_tablespaces|checksum_algorithm))=(.+)$/gm;
  return [...text.matchAll(wanted)].map(([, name, value]) => `--${name ?? ''}=${value ?? ''}`);
}

/** Waits until it answers. Throws STAGE_FAILED with what it says when it ends instead. */
async function connect({ clock, signal }: PrivateServer, running: RunningProgram, home: string): Promise<Session> {
  const deadline = clock.monotonicMs() + START_TIMEOUT_MS;
  const ended = new AbortController();
  running.done.finally(() => ended.abort()).catch(() => undefined);
  while (!ended.signal.aborted && clock.monotonicMs() < deadline) {
    const session = await openSession({ socket: join(home, 's.sock'), user: 'root' }, signal).catch((error: unknown) => {
      if (error instanceof StillpointError && error.code === 'SERVER_DOWN') return undefined;
      throw error;
    });
    if (session !== undefined) return session;
    await clock.sleep(POLL_MS, signal);
  }
  signal.throwIfAborted();
  throw await failed('The restored data could not be opened by a server', running, home, ended.signal.aborted);
}

async function shutDown(running: RunningProgram, session: Session, home: string, signal: AbortSignal): Promise<void> {
  await askToShutDown(session, signal);
  const slow = AbortSignal.timeout(SHUTDOWN_TIMEOUT_MS);
  const stopped = new Promise<void>((resolve) => slow.addEventListener('abort', () => resolve(), { once: true }));
  await Promise.race([running.done.catch(() => undefined), stopped]);
  signal.throwIfAborted();
  if (slow.aborted) throw await failed('The server on the restored data did not shut down', running, home, false);
  await running.done.catch(async () => {
    throw await failed('The server on the restored data did not shut down in order', running, home, true);
  });
}

async function failed(what: string, running: RunningProgram, home: string, ended: boolean): Promise<Error> {
  const why = ended ? await running.done.then(() => 'it ended by itself', describe) : 'it took too long';
  if (typeof why !== 'string') return why;
  return new StillpointError('STAGE_FAILED', `${what}: ${[why, await lastErrors(join(home, 'error.log'))].join('\n')}`);
}

const describe = (error: unknown): string | Error =>
  error instanceof ProgramFailure ? [error.message, error.lastLines(2)].filter(Boolean).join(': ') : (error as Error);
