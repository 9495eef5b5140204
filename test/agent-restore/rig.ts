import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ConfigurationFile, PartManifest } from '@stillpoint/shared/manifest';
import { sha256Of } from '@stillpoint/shared/manifest';
import { type StageTask, StageTaskSchema } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import type { Agent } from '../../packages/agent/src/agent.ts';
import { type AgentConfig, agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { openRepository } from '../../packages/agent/src/repository/index.ts';
import type { TaskContext } from '../../packages/agent/src/task/types.ts';
import { type ServerOptions, serverAccount, startServer, type TestServer, testDirectory } from '../harness/mariadb-server.ts';
import { makePartDirectory, setManifest, shardOf, writePartManifest } from './parts.ts';

export const SET = '20261121-091500-aaaaaaaa';

/** A server with an agent's configuration around it: what the tasks of a restore work on. */
export interface Rig {
  readonly server: TestServer;
  readonly agent: Agent;
  readonly config: AgentConfig;
  /** Directory of everything that is not the server's. */
  readonly home: string;
}

/** Starts a server and configures an agent for it, which is called like a function and runs nowhere. */
export async function startRig(
  options: { node?: string; server?: ServerOptions; configuration?: string[]; defaultsFile?: string } = {},
): Promise<Rig> {
  const node = options.node ?? 'db1';
  const server = await startServer({ name: node, ...options.server });
  const home = testDirectory(`agent-${node}`);
  const defaultsFile = options.defaultsFile ?? server.defaultsFile;
  const config = agentConfigSchema.parse({
    cluster: 'shop',
    node,
    stateDir: join(home, 'state'),
    repository: join(home, 'repository'),
    tls: { ca: '/none', cert: '/none', key: '/none' },
    mariadb: { defaultsFile, socket: server.socket, user: 'root', service: { driver: 'commands', ...commands(home, server) } },
    configuration: options.configuration ?? [],
  });
  return { server, config, home, agent: agentOf(config) };
}

/** An agent as tasks see it. */
export const agentOf = (config: AgentConfig): Agent => ({ config, clock: systemClock }) as Agent;

function commands(home: string, { defaultsFile, socket, directory }: TestServer): { start: string[]; stop: string[] } {
  const start = join(home, 'start.sh');
  const stop = join(home, 'stop.sh');
  writeFileSync(start, `#!/bin/sh\nsetsid mariadbd --defaults-file=${defaultsFile} >>${directory}/out.log 2>&1 &\n`);
  // A zombie answers to kill -0, but has no arguments any more; its parent may be busy waiting for this very script.
  const wait = 'while grep -q . "/proc/$pid/cmdline" 2>/dev/null; do sleep 0.05; done';
  writeFileSync(stop, `#!/bin/sh\npid=$(cat ${directory}/s.pid)\nmariadb-admin --no-defaults -S ${socket} -u root shutdown\n${wait}\n`);
  for (const script of [start, stop]) chmodSync(script, 0o755);
  return { start: [start], stop: [stop] };
}

/** What a task may use, and what it said. */
export function taskOf(
  operationId: string,
  signal: AbortSignal = new AbortController().signal,
): TaskContext & { readonly steps: Set<string>; readonly logs: string[] } {
  const steps = new Set<string>();
  const logs: string[] = [];
  return { operationId, taskId: 'task', signal, steps, logs, progress: (step) => steps.add(step), log: (message) => logs.push(message) };
}

/** A part as it lies in its repository. */
export interface TakenPart {
  /** Digest of part.json. */
  readonly sha256: string;
  readonly part: PartManifest;
  readonly directory: string;
}

/**
 * Takes a part by the tools alone, while nobody writes, and commits it. `files` are the configuration in it. With a recipient its files are
 * encrypted by age.
 */
export async function takePart(rig: Rig, files: readonly string[] = [], recipient?: string): Promise<TakenPart> {
  const { server, config } = rig;
  const place = { repository: config.repository, cluster: config.cluster, setId: SET, node: config.node };
  const directory = makePartDirectory(place);
  const image = join(directory, 'mariadb.full.mbstream.zst');
  execFileSync('bash', [
    '-c',
    'set -o pipefail; mariadb-backup --defaults-file="$0" --backup --user=root --socket="$1" --stream=mbstream 2>/dev/null | zstd -q -o "$2"',
    server.defaultsFile,
    server.socket,
    image,
  ]);
  if (files.length > 0) execFileSync('bash', ['-c', 'tar -cP "$@" | zstd -q -o "$0"', join(directory, 'config.tar.zst'), ...files]);
  const names = [basename(image), ...(files.length > 0 ? ['config.tar.zst'] : [])].map((name) => sealed(directory, name, recipient));
  const shards = names.map((name) => shardOf(directory, name));
  const { part, sha256 } = writePartManifest(place, {
    shards,
    ...(recipient === undefined ? {} : { encryption: { recipients: [recipient] } }),
    configuration: files.map(configurationFile),
    checksums: await checksumsOf(server),
    mariadb: await mariadbOf(server),
  });
  await openRepository(config).commitSet(SET, setManifest(place, { [config.node]: sha256 }));
  return { sha256, part, directory };
}

/** Encrypts a file in its place, if there is somebody to encrypt for. Gives its name then. */
function sealed(directory: string, name: string, recipient: string | undefined): string {
  if (recipient === undefined) return name;
  execFileSync('age', ['-r', recipient, '-o', join(directory, `${name}.age`), join(directory, name)]);
  rmSync(join(directory, name));
  return `${name}.age`;
}

function configurationFile(path: string): ConfigurationFile {
  const data = readFileSync(path);
  const { mode, mtime } = statSync(path);
  const [owner = '', group = ''] = execFileSync('stat', ['-c', '%U %G', path], { encoding: 'utf8' }).trim().split(' ');
  return {
    path,
    bytes: data.length,
    mode: (mode & 0o7777).toString(8).padStart(4, '0'),
    owner,
    group,
    mtime: mtime.toISOString(),
    sha256: sha256Of(data),
  };
}

async function checksumsOf(server: TestServer): Promise<PartManifest['checksums']> {
  const tables = await server.sql(
    "SELECT table_schema AS d, table_name AS t, engine AS e FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')",
  );
  const checksums = [];
  for (const { d, t, e } of tables) {
    const [row] = await server.sql(`CHECKSUM TABLE \`${d}\`.\`${t}\` EXTENDED`);
    checksums.push({ database: String(d), table: String(t), engine: String(e), checksum: String(row?.Checksum) });
  }
  return checksums;
}

async function mariadbOf(server: TestServer): Promise<NonNullable<PartManifest['mariadb']>> {
  const [row] = await server.sql('SELECT VERSION() v, @@server_id i, @@gtid_binlog_pos b, @@gtid_slave_pos s');
  const [status] = await server.sql('SHOW MASTER STATUS');
  const dataBytes = Number(execFileSync('du', ['-sb', server.datadir], { encoding: 'utf8' }).split('\t')[0]);
  return {
    version: String(row?.v),
    backupToolVersion: '',
    serverId: Number(row?.i),
    datadir: server.datadir,
    port: server.port,
    position: {
      logBin: status !== undefined,
      file: String(status?.File ?? ''),
      offset: Number(status?.Position ?? 0),
      gtidBinlogPos: String(row?.b),
      gtidSlavePos: String(row?.s),
    },
    sources: [],
    fromLsn: '0',
    toLsn: '1',
    lastLsn: '1',
    dataBytes,
  };
}

/** A stage task for the part of a node, from its own repository unless told otherwise. */
export const stageSpec = (part: Pick<TakenPart, 'sha256' | 'part'>, fields: MessageInitShape<typeof StageTaskSchema> = {}): StageTask =>
  create(StageTaskSchema, {
    setId: part.part.setId,
    sourceNode: part.part.node,
    partSha256: part.sha256,
    gtidPosition: part.part.mariadb?.position.gtidBinlogPos ?? '',
    ...(fields as object),
  });

/** Owner of test files: that of the server when we are root. */
export const serverOwner: string = serverAccount ?? execFileSync('id', ['-un'], { encoding: 'utf8' }).trim();
