import { hostname } from 'node:os';
import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { borrowedOf, encodeManifest, LAYOUT, type PartManifest, sha256Of } from '@stillpoint/shared/manifest';
import { VERSION } from '@stillpoint/shared/version';
import type { Agent } from '../agent.ts';
import { FILE_MODE } from '../archive/index.ts';
import type { AgentConfig } from '../config/schema.ts';
import type { Hold } from '../hold/types.ts';
import { writeFileDurably } from '../host/index.ts';
import type { Sums } from '../mariadb/checksums.ts';
import { dropPrecopied } from '../precopied/index.ts';
import { unheeded } from '../priority/words.ts';
import { openRepository } from '../repository/index.ts';
import type { TaskContext, TaskDefinition } from '../task/types.ts';
import { engineConfiguration } from './columnstore/configuration.ts';
import type { EngineImage } from './columnstore/engine-image.ts';
import { type PackedConfiguration, packConfiguration } from './configuration.ts';
import type { CapturedImages, NodeCapture } from './node-capture.ts';
import { firstLost } from './parent.ts';
import { type ServerImage, syncFile, syncPart } from './part.ts';
import type { Storing } from './storing.ts';
import { abandonCapture, recoverCapture } from './under-way.ts';

/**
 * Completes a part after the still point: packs what was only taken there, sums tables at the cut, packs the configuration, makes every byte safe from a
 * power cut, and writes part.json. Writers are not concerned any more.
 */
export const publishTask: TaskDefinition<'publish'> = {
  run: async (agent, { setId }, task) => {
    const hold = agent.holds.require(task.operationId);
    try {
      const capture = agent.captures.require(task.operationId);
      const { part, storing } = capture;
      const images = await capture.finish(hold, task);
      const sums = await sumTables(hold, task);
      const configuration = await packAll(agent.config, images.engine, { part, storing }, task);
      const manifest = manifestOf({ agent, setId, hold, images, sums, configuration, storing });
      task.progress('write', 0, 0);
      for (const { name } of manifest.shards) await syncFile(join(part, name));
      await requireBorrowed(agent.config, manifest);
      task.signal.throwIfAborted();
      const bytes = encodeManifest(manifest);
      await writeFileDurably(join(part, LAYOUT.partManifest), bytes, FILE_MODE);
      await syncPart(part);
      await dropUnused(agent);
      await agent.captures.forget(task.operationId);
      return { result: { case: 'publish', value: { partSha256: sha256Of(bytes), manifest: bytes } } };
    } catch (error) {
      throw await abandonCapture(agent, task, setId, error);
    } finally {
      await hold.snapshots?.close();
    }
  },
  // The snapshots of the cut were connections of the agent that is gone: nothing can complete this part any more.
  recover: recoverCapture,
};

/** Throws CAPTURE_FAILED when a file of another set, which this part needs, was removed by somebody since the increment was begun. */
async function requireBorrowed(config: AgentConfig, manifest: PartManifest): Promise<void> {
  const lost = await firstLost(borrowedOf(manifest), openRepository(config));
  if (lost === undefined) return;
  throw new StillpointError(
    'CAPTURE_FAILED',
    `${lost.name} of ${lost.node} in set ${lost.set}, of which this set is made as an increment, is missing or damaged`,
    { hint: 'It was there when the backup began. Start again: what cannot be used of earlier sets is taken in full.' },
  );
}

/** What an interrupted backup had copied is of no use any more: by now it was taken over, or this backup had no use for it. */
async function dropUnused({ config, log }: Agent): Promise<void> {
  try {
    if (await dropPrecopied(config)) log.info('what an interrupted backup had copied of dbroots was not used, and was removed');
  } catch (err) {
    log.warn({ err }, 'what an interrupted backup had copied of dbroots could not be removed; `stillpoint repository clean` does');
  }
}

/** The configured files and those of the engine. Throws CAPTURE_MOVED when the engine has another configuration than under the suspension. */
async function packAll(
  config: AgentConfig,
  engine: EngineImage | undefined,
  { part, storing }: Pick<NodeCapture, 'part' | 'storing'>,
  { log, signal }: TaskContext,
): Promise<PackedConfiguration> {
  for (const sentence of await unheeded(storing.priority)) log(sentence);
  const packed = await packConfiguration(config.configuration, part, log, signal, await engineConfiguration(config), storing);
  if (engine === undefined) return packed;
  const { configFile } = engine.columnstore;
  const file = packed.files.find(({ path }) => path === configFile);
  if (file === undefined || file.sha256 === engine.configSha256) return packed;
  throw new StillpointError('CAPTURE_MOVED', `${configFile} was changed while the backup was made: its dbroots may be others now`);
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
  readonly images: CapturedImages;
  readonly sums: Sums;
  readonly configuration: PackedConfiguration;
  readonly storing: Storing;
}

function manifestOf({ agent, setId, hold, images, sums, configuration, storing }: Published): PartManifest {
  const { server, engine, captureMs } = images;
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
    ...(server && { mariadb: serverOf(hold, server) }),
    ...(engine && { columnstore: engine.columnstore }),
    shards: [server?.base, server?.shard, ...(engine?.shards ?? []), configuration.shard].filter((shard) => shard !== undefined),
    ...(storing.recipients.length > 0 && { encryption: { recipients: [...storing.recipients] } }),
    configuration: [...configuration.files],
    checksums: [...sums.checksums],
    unproven: [...sums.unproven],
    timings: { lockWaitMs: hold.lockWaitMs, blockedMs: hold.blockedMs, captureMs },
  };
}

function serverOf({ position, sources }: Hold, image: ServerImage): NonNullable<PartManifest['mariadb']> {
  if (position === undefined) throw new StillpointError('HOLD_LOST', 'The hold has no position of the server whose image was taken');
  const { server, backupToolVersion, fromLsn, toLsn, lastLsn, dataBytes, incarnation, base, chain } = image;
  const { logBin, file, offset, gtidBinlogPos, gtidSlavePos } = position;
  return {
    ...server,
    backupToolVersion,
    position: { logBin, file, offset: Number(offset), gtidBinlogPos, gtidSlavePos },
    sources: sources.map(({ connectionName, host, port, user, usingGtid }) => ({ connectionName, host, port, user, usingGtid })),
    fromLsn,
    toLsn,
    lastLsn,
    ...(incarnation === undefined ? {} : { incarnation }),
    ...(chain === undefined ? {} : { chain: [...chain] }),
    ...(base === undefined ? {} : { base: base.name }),
    dataBytes,
  };
}
