import { create } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { type MariadbFacts, MariadbFactsSchema, type MariadbPosition, type ReplicationSource } from '@stillpoint/shared/proto';
import type { MariadbConfig } from '../config/schema.ts';
import { accountName, directoryBytes, exists, freeBytes, isMountPoint, ownerOf } from '../host/index.ts';
import { gateObstacle } from './gate-obstacle.ts';
import { readPosition, readSources } from './position.ts';
import { accountOf, openSession } from './session.ts';
import { serverSettings } from './settings.ts';
import { backupToolVersion } from './tools.ts';

/** Describes the server without changing anything. Throws TOOL_MISSING, CONFIG_FILE_UNREADABLE or ACCESS_DENIED. */
export async function describeMariadb(config: MariadbConfig, signal?: AbortSignal): Promise<MariadbFacts> {
  const settings = await serverSettings(config, signal);
  const { datadir } = settings;
  const tooling = unless('TOOL_MISSING', backupToolVersion(signal));
  const [tool, there, owner, bytes, free, log] = await Promise.all([
    tooling,
    exists(datadir),
    ownerOf(datadir),
    directoryBytes(datadir, signal),
    freeBytes(datadir),
    settings.running ? readServer(config, tooling, signal) : undefined,
  ]);
  return create(MariadbFactsSchema, {
    running: settings.running,
    version: settings.version,
    backupToolVersion: tool ?? '',
    serverId: settings.serverId,
    datadir,
    datadirBytes: BigInt(bytes),
    datadirFreeBytes: BigInt(free),
    datadirIsMountPoint: there && (await isMountPoint(datadir)),
    ...(log?.position === undefined ? {} : { position: log.position }),
    sources: [...(log?.sources ?? [])],
    advertisedHost: config.advertise?.host ?? '',
    port: config.advertise?.port ?? settings.port,
    owner: owner === undefined ? '' : await accountName(owner),
    gateObstacle: log === undefined ? 'the server does not answer' : (log.gateObstacle ?? ''),
    replicationAccount: config.replication !== undefined,
  });
}

interface ServerFacts {
  readonly position?: MariadbPosition | undefined;
  readonly sources?: readonly ReplicationSource[] | undefined;
  readonly gateObstacle?: string | undefined;
}

/** Where the log stands, and the gate. Without the privileges nothing is told of the log; the check says which are missing. */
async function readServer(
  config: MariadbConfig,
  tooling: Promise<string | undefined>,
  signal?: AbortSignal,
): Promise<ServerFacts | undefined> {
  const session = await unless('SERVER_DOWN', openSession(accountOf(config), signal));
  if (session === undefined) return undefined;
  try {
    return {
      gateObstacle: (await gateObstacle(session, (await tooling) ?? '', signal))?.message,
      position: await unless('PRIVILEGE_MISSING', readPosition(session, signal)),
      sources: await unless('PRIVILEGE_MISSING', readSources(session, signal)),
    };
  } finally {
    await session.close();
  }
}

/** Undefined instead of one kind of error. */
async function unless<T>(code: StillpointError['code'], promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof StillpointError && error.code === code) return undefined;
    throw error;
  }
}
