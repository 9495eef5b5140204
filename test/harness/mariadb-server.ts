import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, cpSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { eventually } from './eventually.ts';
import { isAlive, killQuietly } from './processes.ts';

export interface ServerOptions {
  /** Part of the directory's name. */
  readonly name?: string;
  readonly serverId?: number;
  /** Lines of the server's option file, over the small defaults below; an empty value writes the bare key. */
  readonly options?: Readonly<Record<string, string>>;
  /** Loopback address to listen on. Default 127.0.0.1. */
  readonly address?: string;
  /** Where to put it, a directory that does not exist yet. Default: one of its own. */
  readonly directory?: string;
}

/** A real server of its own: data directory, socket, free port. Accounts: root without a password. */
export interface TestServer {
  /** Holds everything of this server: option file, socket, pid file, error log, data directory. */
  readonly directory: string;
  readonly datadir: string;
  readonly socket: string;
  readonly port: number;
  readonly address: string;
  readonly defaultsFile: string;
  readonly errorLog: string;
  /** Process id while it runs. */
  readonly pid: number | undefined;
  /** A new connection as root; the caller ends it. */
  root(): Promise<Connection>;
  /** Runs statements as root on a connection of its own; gives the rows of the last one. */
  sql(text: string): Promise<RowDataPacket[]>;
  /** Sends a signal; SIGKILL waits until the process has gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Stops it in order; nothing to do when it does not run. */
  stop(): Promise<void>;
  /** Starts it again and waits until it answers. */
  start(): Promise<void>;
  /** Kills it and removes its directory. */
  remove(): Promise<void>;
}

/** mariadbd and the tools beside it run as this account when we are root, which mariadbd refuses to run as. */
export const serverAccount: string | undefined = process.getuid?.() === 0 ? 'mysql' : undefined;

/** Test data of all processes of this user: what one user has made, no other can write to. */
export const testRoots = join(tmpdir(), `stillpoint-test-${process.getuid?.() ?? 'user'}`);
const root = join(testRoots, String(process.pid));
const running = new Set<ChildProcess>();
let prepared = false;
let initialised = false;
let count = 0;

/** A directory for test data that goes away with this process. */
export function testDirectory(name: string): string {
  prepareRoot();
  count += 1;
  const directory = join(root, `${name}-${count}`);
  mkdirSync(directory);
  return directory;
}

/** Test runners end their workers with little ceremony: what a dead process left behind is swept by the next one. */
function prepareRoot(): void {
  if (prepared) return;
  prepared = true;
  mkdirSync(testRoots, { recursive: true });
  for (const pid of readdirSync(testRoots)) if (!existsSync(`/proc/${pid}`)) sweep(join(testRoots, pid));
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  for (const directory of [testRoots, root]) chmodSync(directory, 0o755);
  process.once('exit', () => {
    for (const server of running) server.kill('SIGKILL');
    sweep(root);
  });
}

/** Removes a tree of test data, small file systems that are mounted in it included. */
export function sweep(directory: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const below = mounts.map((line) => line.split(' ')[1] ?? '').filter((place) => place.startsWith(`${directory}/`));
  for (const place of below) execFileSync('umount', ['--lazy', place]);
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

const SMALL = {
  innodb_buffer_pool_size: '32M',
  innodb_log_file_size: '16M',
  innodb_fast_shutdown: '1',
  key_buffer_size: '1M',
  aria_pagecache_buffer_size: '4M',
  performance_schema: 'OFF',
  // The operating system survives these tests, so its cache is as good as a disk.
  innodb_flush_log_at_trx_commit: '2',
  innodb_flush_method: 'fsync',
  sync_binlog: '0',
};

const REPLICATION = { log_bin: 'bin', log_slave_updates: '1', binlog_format: 'ROW', gtid_strict_mode: '1' };

/** Starts a server with a fresh data directory. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const directory = options.directory ?? testDirectory(options.name ?? 'server');
  if (options.directory !== undefined) mkdirSync(directory, { recursive: true });
  const address = options.address ?? '127.0.0.1';
  const port = await freePort(address);
  const defaultsFile = join(directory, 'my.cnf');
  const datadir = join(directory, 'data');
  writeFileSync(
    defaultsFile,
    optionFile({
      ...(serverAccount === undefined ? {} : { user: serverAccount }),
      datadir,
      // A starting server removes all temporary tables of its tmpdir, those of another server that runs included.
      tmpdir: join(directory, 'tmp'),
      socket: join(directory, 's.sock'),
      'pid-file': join(directory, 's.pid'),
      'log-error': join(directory, 'error.log'),
      port: String(port),
      'bind-address': address,
      server_id: String(options.serverId ?? 1),
      ...SMALL,
      ...REPLICATION,
      ...options.options,
    }),
  );
  mkdirSync(join(directory, 'tmp'));
  cpSync(template(), datadir, { recursive: true });
  if (serverAccount !== undefined) execFileSync('chown', ['-R', `${serverAccount}:${serverAccount}`, directory]);
  const server = handle({ directory, datadir, defaultsFile, address, port });
  await server.start();
  return server;
}

interface Place {
  readonly directory: string;
  readonly datadir: string;
  readonly defaultsFile: string;
  readonly address: string;
  readonly port: number;
}

function handle(place: Place): TestServer {
  const socket = join(place.directory, 's.sock');
  const errorLog = join(place.directory, 'error.log');
  const connect = (): Promise<Connection> => createConnection({ socketPath: socket, user: 'root', multipleStatements: true });
  let child: ChildProcess | undefined;
  const alive = (): number | undefined => (child?.exitCode === null && child.signalCode === null ? child.pid : startedByOthers(place));
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const pid = alive();
    if (pid === undefined) return;
    killQuietly(pid, signal);
    // Also until our own child was reaped: only then do its exit codes say that it has gone.
    await eventually(() => !isAlive(pid) && alive() !== pid);
  };
  return {
    ...place,
    socket,
    errorLog,
    get pid() {
      return alive();
    },
    root: connect,
    sql: async (text) => {
      const connection = await connect();
      try {
        const [rows] = await connection.query<RowDataPacket[] | RowDataPacket[][]>(text);
        const last = Array.isArray(rows) ? rows.at(-1) : undefined;
        return (Array.isArray(last) ? last : rows) as RowDataPacket[];
      } finally {
        await connection.end();
      }
    },
    kill: async (signal) => {
      if (signal === 'SIGKILL') await end(signal);
      else {
        const pid = alive();
        if (pid !== undefined) killQuietly(pid, signal);
      }
    },
    stop: () => end('SIGTERM'),
    start: async () => {
      if (alive() !== undefined) return;
      child = launch(place);
      await eventually(async () => {
        if (alive() === undefined) throw new Error(`mariadbd did not start:\n${lastLines(errorLog)}`);
        return connect().then(
          async (connection) => {
            await connection.end();
            return true;
          },
          () => false,
        );
      });
    },
    remove: async () => {
      await end('SIGKILL');
      rmSync(place.directory, { recursive: true, force: true });
    },
  };
}

/** The process of this server when its pid file knows one: an agent's service driver may have started it. */
function startedByOthers({ directory, defaultsFile }: Place): number | undefined {
  const pidFile = join(directory, 's.pid');
  const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0;
  const command = pid > 0 && existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
  return command.includes(`--defaults-file=${defaultsFile}`) ? pid : undefined;
}

function launch({ directory, defaultsFile }: Place): ChildProcess {
  const output = openSync(join(directory, 'out.log'), 'a');
  const child = spawn('mariadbd', [`--defaults-file=${defaultsFile}`], { stdio: ['ignore', output, output] });
  closeSync(output);
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}

/** An initialised data directory to copy: initialising costs far more than copying. */
function template(): string {
  const directory = join(root, 'template');
  const datadir = join(directory, 'data');
  if (initialised) return datadir;
  mkdirSync(join(directory, 'tmp'), { recursive: true });
  const user = serverAccount === undefined ? {} : { user: serverAccount };
  writeFileSync(join(directory, 'my.cnf'), optionFile({ ...user, datadir, tmpdir: join(directory, 'tmp'), ...SMALL }));
  if (serverAccount !== undefined) execFileSync('chown', ['-R', `${serverAccount}:${serverAccount}`, directory]);
  execFileSync(
    'mariadb-install-db',
    [`--defaults-file=${join(directory, 'my.cnf')}`, '--auth-root-authentication-method=normal', '--skip-test-db'],
    { stdio: 'pipe' },
  );
  initialised = true;
  return datadir;
}

const optionFile = (options: Readonly<Record<string, string>>): string =>
  `[mariadbd]\n${Object.entries(options)
    .map(([key, value]) => (value === '' ? key : `${key}=${value}`))
    .join('\n')}\n`;

/** A TCP port that was free a moment ago. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer();
  server.listen(0, address);
  await once(server, 'listening');
  const bound = server.address();
  server.close();
  await once(server, 'close');
  if (bound === null || typeof bound === 'string') throw new Error(`no port on ${address}`);
  return bound.port;
}

const lastLines = (file: string): string =>
  existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(-20).join('\n') : '(no error log)';
