import { hostname } from 'node:os';
import { join } from 'node:path';
import { StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import { encodeManifest, LAYOUT, type PartManifest, sha256Of } from '@stillpoint/shared/manifest';
import { VERSION } from '@stillpoint/shared/version';
import type { Agent } from '../agent.ts';
import { FILE_MODE } from '../archive/index.ts';
import type { Hold } from '../hold/types.ts';
import { writeFileDurably } from '../host/index.ts';
import type { Sums } from '../mariadb/checksums.ts';
import { openRepository } from '../repository/index.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { type PackedConfiguration, packConfiguration } from './configuration.ts';
import { type CapturedImage, forgetCaptured, partOf, readCaptured, syncFile, syncPart } from './part.ts';

/**
 * Completes a part after the still point: sums tables at the cut, packs the configuration, makes every byte safe from a
 * power cut, and writes part.json. Writers are not concerned any more.
 */
export const publishTask: TaskDefinition<'publish'> = {
  run: async (agent, { setId }, task) => {
    const hold = agent.holds.require(task.operationId);
    try {
      const part = partOf(agent.config, setId);
      const image = agent.config.mariadb === undefined ? undefined : await readCaptured(part);
      requireSameHold(hold, image);
      const sums = await sumTables(hold, task);
      const configuration = await packConfiguration(agent.config.configuration, part, task.log, task.signal);
      const manifest = manifestOf({ agent, setId, hold, image, sums, configuration });
      task.progress('write', 0, 0);
      for (const { name } of manifest.shards) await syncFile(join(part, name));
      task.signal.throwIfAborted();
      const bytes = encodeManifest(manifest);
      await writeFileDurably(join(part, LAYOUT.partManifest), bytes, FILE_MODE);
      await forgetCaptured(part);
      await syncPart(part);
      return { result: { case: 'publish', value: { partSha256: sha256Of(bytes), manifest: bytes } } };
    } catch (error) {
      await openRepository(agent.config)
        .removeUnfinishedPart(setId)
        .catch(() => undefined);
      throw toStillpointError(error, 'CAPTURE_FAILED');
    } finally {
      await hold.snapshots?.close();
    }
  },
  // The snapshots of the cut were connections of the agent that is gone: nothing can complete this part any more.
  recover: async (agent, { setId }) => {
    await openRepository(agent.config).removeUnfinishedPart(setId);
  },
};

/** What was captured under a hold that was lost is void, and what was captured under another one has another position. */
function requireSameHold({ lock, lost }: Hold, image: CapturedImage | undefined): void {
  if (lost.aborted) throw toStillpointError(lost.reason);
  if (image !== undefined && image.holder !== lock?.connectionId)
    throw new StillpointError('HOLD_LOST', 'The image was taken under an earlier hold of the operation');
}

async function sumTables({ snapshots }: Hold, task: TaskContext): Promise<Sums> {
  if (snapshots === undefined) return { checksums: [], unproven: [] };
  const sums = await snapshots.sum(task.signal, (done, total) => task.progress('checksum', done, total));
  const { length } = sums.unproven;
  if (length > 0) task.log(`${length} of ${snapshots.tables} tables have no checksum at the cut; the part's manifest says why`);
  return sums;
}

interface Published {
  readonly agent: Agent;
  readonly setId: string;
  readonly hold: Hold;
  readonly image: CapturedImage | undefined;
  readonly sums: Sums;
  readonly configuration: PackedConfiguration;
}

function manifestOf({ agent, setId, hold, image, sums, configuration }: Published): PartManifest {
  const { cluster, node } = agent.config;
  return {
    format: 'stillpoint-part/1',
    cluster,
    setId,
    node,
    operationId: hold.operationId,
    createdAt: agent.clock.now().toISOString(),
    writtenBy: VERSION,
    hostname: hostname(),
    ...(image === undefined ? {} : { mariadb: serverOf(hold, image) }),
    shards: [image?.shard, configuration.shard].filter((shard) => shard !== undefined),
    configuration: [...configuration.files],
    checksums: [...sums.checksums],
    unproven: [...sums.unproven],
    timings: { lockWaitMs: hold.lockWaitMs, blockedMs: hold.blockedMs, captureMs: image?.captureMs ?? 0 },
  };
}

function serverOf({ position, sources }: Hold, image: CapturedImage): NonNullable<PartManifest['mariadb']> {
  if (position === undefined) throw new StillpointError('HOLD_LOST', 'The hold has no position of the server whose image was taken');
  const { server, backupToolVersion, fromLsn, toLsn, lastLsn, dataBytes } = image;
  const { logBin, file, offset, gtidBinlogPos, gtidSlavePos } = position;
  return {
    ...server,
    backupToolVersion,
    position: { logBin, file, offset: Number(offset), gtidBinlogPos, gtidSlavePos },
    sources: sources.map(({ connectionName, host, port, user, usingGtid }) => ({ connectionName, host, port, user, usingGtid })),
    fromLsn,
    toLsn,
    lastLsn,
    dataBytes,
  };
}
