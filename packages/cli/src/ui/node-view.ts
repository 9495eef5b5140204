import { durationMs, timestampDate } from '@bufbuild/protobuf/wkt';
import type { NodeReport } from '@stillpoint/controller';
import {
  CheckStatus,
  type MariadbFacts,
  type MariadbPosition,
  type NodeFacts,
  type ReplicationSource,
  Role,
} from '@stillpoint/shared/proto';

import { engineView } from './engine-view.ts';

/** Role as people and scripts know it: the words of a set's members. */
function roleName(role: Role): string {
  return ({ [Role.SQL]: 'sql', [Role.PM]: 'pm', [Role.PRIMARY]: 'primary' } as Record<number, string>)[role] ?? `role-${role}`;
}

/** How a check ended, in one word. */
export function statusName(status: CheckStatus): 'ok' | 'warning' | 'failed' {
  if (status === CheckStatus.OK) return 'ok';
  return status === CheckStatus.WARNING ? 'warning' : 'failed';
}

const positionView = (position: MariadbPosition) => ({
  logBin: position.logBin,
  file: position.file,
  offset: position.offset,
  gtidBinlogPos: position.gtidBinlogPos,
  gtidSlavePos: position.gtidSlavePos,
});

const sourceView = (source: ReplicationSource) => ({
  connectionName: source.connectionName,
  host: source.host,
  port: source.port,
  user: source.user,
  usingGtid: source.usingGtid,
  running: source.running,
  lastError: source.lastError,
  lagMs: source.lag === undefined ? null : durationMs(source.lag),
});

const mariadbView = (mariadb: MariadbFacts) => ({
  running: mariadb.running,
  version: mariadb.version,
  backupToolVersion: mariadb.backupToolVersion,
  serverId: mariadb.serverId,
  port: mariadb.port,
  advertisedHost: mariadb.advertisedHost,
  replicationAccount: mariadb.replicationAccount,
  datadir: mariadb.datadir,
  datadirBytes: mariadb.datadirBytes,
  datadirFreeBytes: mariadb.datadirFreeBytes,
  datadirIsMountPoint: mariadb.datadirIsMountPoint,
  owner: mariadb.owner,
  position: mariadb.position === undefined ? null : positionView(mariadb.position),
  sources: mariadb.sources.map(sourceView),
});

function factsView(facts: NodeFacts) {
  const { mariadb, columnstore, repository, claim, now } = facts;
  return {
    agentVersion: facts.agentVersion,
    hostname: facts.hostname,
    roles: facts.roles.map(roleName),
    mariadb: mariadb === undefined ? null : mariadbView(mariadb),
    columnstore: columnstore === undefined ? null : engineView(columnstore),
    repository: repository === undefined ? null : { path: repository.path, freeBytes: repository.freeBytes },
    claim:
      claim === undefined
        ? null
        : {
            operationId: claim.operationId,
            kind: claim.kind,
            owner: claim.owner,
            since: claim.since === undefined ? null : timestampDate(claim.since).toISOString(),
            expiresInMs: claim.expiresIn === undefined ? null : durationMs(claim.expiresIn),
          },
    unfinishedRestore: facts.unfinishedRestore,
    clock: now === undefined ? null : timestampDate(now).toISOString(),
  };
}

/** A node as it is written to JSON: words instead of numbers, milliseconds and ISO times instead of messages. */
export type NodeView = ReturnType<typeof nodeView>;

/** Makes plain data of a node's report; `facts` is null when the node did not answer, `error` when it did. */
export function nodeView(report: NodeReport) {
  const { node, address, facts, error } = report;
  return {
    node,
    address,
    reachable: error === undefined,
    facts: facts === undefined ? null : factsView(facts),
    error: error === undefined ? null : { code: error.code, message: error.message, hint: error.hint },
  };
}
