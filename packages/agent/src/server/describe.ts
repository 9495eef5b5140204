import { hostname } from 'node:os';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { toStillpointError } from '@stillpoint/shared/errors';
import { type DecryptionFactsSchema, type MariadbFacts, type NodeFacts, NodeFactsSchema, Role } from '@stillpoint/shared/proto';
import { VERSION } from '@stillpoint/shared/version';
import { describeColumnstore } from '../columnstore/facts.ts';
import { readKeyring } from '../encryption/index.ts';
import { describeMariadb } from '../mariadb/facts.ts';
import { isOnlyStaged, unfinishedRestore } from '../restore/state.ts';
import type { ServiceParts } from './service.ts';

/** All that can be told about the node without changing anything. Works with the server stopped. */
export async function describeNode({ agent, claims, repository }: ServiceParts, signal: AbortSignal): Promise<NodeFacts> {
  const { config, clock } = agent;
  const mariadb = config.mariadb === undefined ? undefined : await describeMariadb(config.mariadb, signal);
  const columnstore = await describeColumnstore(config, signal);
  const claim = claims.current();
  const unfinished = await unfinishedRestore(config.stateDir);
  return create(NodeFactsSchema, {
    node: config.node,
    agentVersion: VERSION,
    hostname: hostname(),
    roles: rolesOf(mariadb, (columnstore?.module ?? 0) !== 0),
    repository: { path: config.repository, freeBytes: BigInt(await repository.freeBytes()) },
    unfinishedRestore: unfinished ?? '',
    unfinishedRestoreStaged: unfinished !== undefined && (await isOnlyStaged(config.stateDir, unfinished)),
    now: timestampFromDate(clock.now()),
    ...(mariadb && { mariadb }),
    ...(columnstore && { columnstore }),
    ...(claim && { claim }),
    ...(config.decryption && { decryption: await decryptionFacts(config.decryption.identityFile) }),
  });
}

/** What the agent could open, and not with what. */
async function decryptionFacts(identityFile: string): Promise<MessageInitShape<typeof DecryptionFactsSchema>> {
  try {
    return { recipients: [...((await readKeyring(identityFile))?.recipients ?? [])] };
  } catch (error) {
    return { problem: toStillpointError(error).message };
  }
}

/** A running server that replicates from nobody is a source of replication. */
function rolesOf(mariadb: MariadbFacts | undefined, pm: boolean): Role[] {
  const primary = mariadb?.running === true && mariadb.sources.length === 0;
  return [...(mariadb === undefined ? [] : [Role.SQL]), ...(pm ? [Role.PM] : []), ...(primary ? [Role.PRIMARY] : [])];
}
