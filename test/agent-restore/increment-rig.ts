import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { borrowedOf, decodeSetManifest, encodeManifest, type PartColumnstore } from '@stillpoint/shared/manifest';
import { CaptureOptionsSchema } from '@stillpoint/shared/proto';
import { lockedDbroot } from '../../packages/agent/src/capture/columnstore/locked-dbroot.ts';
import { parentDbroot } from '../../packages/agent/src/capture/columnstore/parent-dbroot.ts';
import { parentOf } from '../../packages/agent/src/capture/parent.ts';
import type { CapturedDbroot, DbrootToCapture, StagedDbroot } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { openRepository } from '../../packages/agent/src/repository/index.ts';
import type { EnginePart, EngineRig } from './engine-rig.ts';
import { makePartDirectory, setManifest, writePartManifest } from './parts.ts';

/** How a part is taken. */
export interface Taking {
  readonly setId: string;
  readonly parentSet?: string;
  readonly recipients?: readonly string[];
  readonly strategy?: ((dbroot: DbrootToCapture) => StagedDbroot | Promise<StagedDbroot>) | undefined;
  /** Between what is done before the still point and what is done inside. */
  readonly between?: () => void;
}

/** A part that was taken, and what was said. */
export interface TakenIncrement extends EnginePart {
  readonly dbroot: PartColumnstore['dbroots'][number];
  readonly notes: readonly string[];
  /** Bytes that its own files take. */
  readonly storedBytes: number;
  /** Bytes of dbroots that were read before the still point, and inside. */
  readonly read: { readonly before: number; readonly inside: number };
}

/** Takes a part of one dbroot and commits it as a set of this node alone. */
export async function takeIncrement(rig: EngineRig, number: number, taking: Taking): Promise<TakenIncrement> {
  const { config } = rig;
  const { setId, parentSet = '', recipients = [] } = taking;
  const place = { repository: config.repository, cluster: config.cluster, setId, node: config.node };
  const directory = makePartDirectory(place);
  const notes: string[] = [];
  const note = (message: string): void => void notes.push(message);
  const fields: MessageInitShape<typeof CaptureOptionsSchema> = { parentSet, recipients: [...recipients] };
  const parent = await parentDbroot(parentOf(config, create(CaptureOptionsSchema, fields)), number, note);
  const staged = await (taking.strategy ?? lockedDbroot)({
    ...{ cluster: config.cluster, number, path: rig.dbroot(number), root: realpathSync(rig.dbroot(number)), part: directory, parent },
    ...{ shards: 2, threads: 2, level: 1, recipients, brmDirectory: number === 1 ? 'systemFiles/dbrm' : undefined },
  });
  const read = { before: 0, inside: 0 };
  const { signal } = new AbortController();
  const work = (when: keyof typeof read) => ({
    ...{ signal, note, onFound: () => {} },
    onBytes: (bytes: number): void => {
      read[when] += bytes;
    },
  });
  let captured: CapturedDbroot;
  try {
    await staged.precopy(work('before'));
    taking.between?.();
    await staged.take(work('inside'));
    captured = await staged.finish(work('inside'));
  } finally {
    await staged.discard();
  }
  const { dbroot, shards } = captured;
  const columnstore: PartColumnstore = {
    ...{ version: '6.4.12', generation: '5', configFile: rig.xml, configRevision: 1, module: Number(config.node.slice(2)) },
    ...{ primary: number === 1, dbrmRoot: join(rig.data, 'data1/systemFiles/dbrm/BRM_saves'), brmCurrent: number === 1 ? 'BRM_saves' : '' },
    ...{ owner: 'mysql:mysql', dbroots: [dbroot] },
  };
  const { part, sha256 } = writePartManifest(place, {
    columnstore,
    shards: [...shards],
    ...(recipients.length > 0 && { encryption: { recipients: [...recipients] } }),
  });
  const uses = [...new Set(borrowedOf(part).map(({ set }) => set))];
  const set = decodeSetManifest(setManifest(place, { [config.node]: sha256 }, uses), 'set.json');
  for (const member of set.members) member.dbroots = [number];
  await openRepository(config).commitSet(setId, encodeManifest(set));
  const storedBytes = shards.reduce((sum, shard) => sum + shard.storedBytes, 0);
  return { part, sha256, directory, dbroot, notes, storedBytes, read };
}

/** The same node with empty dbroots: where a set is restored to. */
export function emptied(rig: EngineRig, other: EngineRig, numbers: readonly number[]): EngineRig {
  for (const number of numbers) mkdirSync(other.dbroot(number), { recursive: true });
  const config = { ...other.config, repository: rig.config.repository };
  return { ...other, config, agent: { ...other.agent, config } };
}
