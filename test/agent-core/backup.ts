import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { decodePartManifest, encodeManifest, sha256Of } from '@stillpoint/shared/manifest';
import type { OperationKind } from '@stillpoint/shared/operation';
import type { TaskEnded, TaskSpecSchema, WatchTaskResponse } from '@stillpoint/shared/proto';
import { acquire, RELEASE, talkAbout } from './hold-talk.ts';
import { type AgentClient, CLUSTER, NODE, operation, set } from './node.ts';

type Spec = MessageInitShape<typeof TaskSpecSchema>;

export const captureOf = (setId: string): Spec => ({ task: { case: 'capture', value: { setId } } });
export const publishOf = (setId: string): Spec => ({ task: { case: 'publish', value: { setId } } });
export const verifyOf = (setId: string): Spec => ({ task: { case: 'verify', value: { setId } } });

export const stageOf = (setId: string, partSha256: string): Spec => ({
  task: { case: 'stage', value: { setId, sourceNode: NODE, partSha256 } },
});

/** Claims the node for a new operation; it lives without a renewal for `ttlMs`. */
export async function claimed(client: AgentClient, kind: OperationKind = 'backup', ttlMs = 60_000): Promise<string> {
  const operationId = operation(kind);
  await client.claimNode({ operationId, kind, owner: 'tester@here, pid 1', ttl: durationFromMs(ttlMs) });
  return operationId;
}

/** Every event of a task until its end. */
export async function watched(client: AgentClient, operationId: string, taskId: string): Promise<readonly WatchTaskResponse['event'][]> {
  const events: WatchTaskResponse['event'][] = [];
  for await (const { event } of client.watchTask({ operationId, taskId })) events.push(event);
  return events;
}

/** How a task has ended, once it has. */
export async function endOf(client: AgentClient, operationId: string, taskId: string): Promise<TaskEnded> {
  const last = (await watched(client, operationId, taskId)).at(-1);
  if (last?.case !== 'ended') throw new Error(`the last event of ${taskId} is ${last?.case}`);
  return last.value;
}

/** Runs a task to its end; its id is its kind. */
export async function done(client: AgentClient, operationId: string, spec: Spec): Promise<TaskEnded> {
  const taskId = spec.task?.case ?? '';
  await client.startTask({ operationId, taskId, spec });
  return endOf(client, operationId, taskId);
}

/** A finished backup: its operation, its set, and what the agent told about it. */
export interface TakenBackup {
  readonly operationId: string;
  readonly setId: string;
  /** Digest of its part.json. */
  readonly partSha256: string;
  readonly captured: TaskEnded;
  readonly published: TaskEnded;
}

/** Backs the node up, step by step as a controller would, and gives it back. */
export async function backUp(client: AgentClient): Promise<TakenBackup> {
  const setId = set();
  const operationId = await claimed(client);
  try {
    const talk = talkAbout(client, acquire(operationId, { checksums: true }));
    await talk.hear('acquired');
    const captured = await done(client, operationId, captureOf(setId));
    talk.say(RELEASE);
    await talk.hear('released');
    const published = await done(client, operationId, publishOf(setId));
    const { manifest } = await client.readPart({ setId });
    await client.commitSet({ operationId, setId, manifest: setManifest(operationId, setId, manifest) });
    return { operationId, setId, partSha256: sha256Of(manifest), captured, published };
  } finally {
    await client.releaseNode({ operationId });
  }
}

/** The bytes of a set.json that names one part, given by the bytes of its manifest. */
export function setManifest(operationId: string, setId: string, manifest: Uint8Array): Uint8Array {
  const part = decodePartManifest(manifest, 'part.json');
  const at = new Date().toISOString();
  return encodeManifest({
    ...{ format: 'stillpoint-set/1', cluster: CLUSTER, setId, operationId, cutAt: at, releasedAt: at, committedAt: at, writtenBy: '0.1.0' },
    holdSkewMs: 0,
    phases: [],
    uses: [],
    members: [
      {
        ...{ node: NODE, roles: ['sql', 'primary'], partSha256: sha256Of(manifest), source: '', gtidSlavePos: '' },
        storedBytes: part.shards.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
        dataBytes: part.mariadb?.dataBytes ?? 0,
        dbroots: (part.columnstore?.dbroots ?? []).map(({ number }) => number),
        mariadbVersion: part.mariadb?.version ?? '',
        gtidBinlogPos: part.mariadb?.position.gtidBinlogPos ?? '',
        provenTables: part.checksums.length,
        blockedMs: part.timings.blockedMs,
        phases: [],
      },
    ],
  });
}
