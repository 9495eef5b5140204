import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { decodePartManifest, LAYOUT, type PartManifest, partDirectory, sha256Of } from '@stillpoint/shared/manifest';
import {
  type CaptureOptionsSchema,
  type CaptureResult,
  CaptureTaskSchema,
  type PrecopyResult,
  PrecopyStorage,
  PrecopyTaskSchema,
  PublishTaskSchema,
  VerifyTaskSchema,
} from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import type { Agent } from '../../packages/agent/src/agent.ts';
import { captureTask, createCaptures, precopyTask, publishTask } from '../../packages/agent/src/capture/index.ts';
import { openEngine } from '../../packages/agent/src/columnstore/discovery/index.ts';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import type { Hold } from '../../packages/agent/src/hold/types.ts';
import { openRepository, verifyTask } from '../../packages/agent/src/repository/index.ts';
import { type TestTask, testTask } from '../agent/node.ts';
import { setManifest } from '../agent-restore/parts.ts';
import type { DoubleNode } from '../fixtures/columnstore/double-node.ts';

export const SET = '20261121-091500-aaaaaaaa';

export type CaptureOptionsInit = MessageInitShape<typeof CaptureOptionsSchema>;

/** A node of the double with an agent that is called like a function, and holds that the test puts in. */
export interface CapturedNode {
  readonly agent: Agent;
  readonly part: string;
  hold: Hold;
  readonly lost: AbortController;
  /** Before the still point. */
  precopy(options?: CaptureOptionsInit): Promise<PrecopyResult>;
  capture(task?: TestTask, options?: CaptureOptionsInit): Promise<CaptureResult>;
  publish(task?: TestTask): Promise<PartManifest>;
  verify(): Promise<readonly string[]>;
}

/** Makes one; its parts lie below `home`. */
export async function capturedNode(
  { name, columnstore, configFile }: DoubleNode,
  home: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<CapturedNode> {
  const config = agentConfigSchema.parse({
    ...{ cluster: 'shop', node: name, stateDir: join(home, 'state'), repository: join(home, 'repository') },
    tls: { ca: '/none', cert: '/none', key: '/none' },
    columnstore: { ...columnstore, cmapi: { configFile: join(dirname(configFile), 'cmapi_server.conf') }, ...settings },
  });
  const lost = new AbortController();
  const engine = await openEngine(config);
  const node: CapturedNode = {
    agent: {
      config,
      clock: systemClock,
      log: { warn: () => undefined } as unknown as Agent['log'],
      holds: { get: () => node.hold, require: () => node.hold },
      captures: createCaptures(),
    },
    part: partDirectory(config.repository, 'shop', SET, name),
    lost,
    hold: holdWith(lost, engine?.configSha256 ?? ''),
    precopy: async (options = {}) => {
      const { result } = await precopyTask.run(
        node.agent,
        create(PrecopyTaskSchema, { setId: SET, options, storage: PrecopyStorage.DBROOTS }),
        testTask('precopy'),
      );
      if (result?.case !== 'precopy') throw new Error('no result');
      return result.value as PrecopyResult;
    },
    capture: async (task = testTask('capture'), options = {}) => {
      const { result } = await captureTask.run(node.agent, create(CaptureTaskSchema, { setId: SET, options }), task);
      if (result?.case !== 'capture') throw new Error('no result');
      return result.value as CaptureResult;
    },
    publish: async (task = testTask('publish')) => {
      await publishTask.run(node.agent, create(PublishTaskSchema, { setId: SET }), task);
      return decodePartManifest(readFileSync(join(node.part, LAYOUT.partManifest)), 'part.json');
    },
    verify: async () => {
      const { result } = await verifyTask.run(node.agent, create(VerifyTaskSchema, { setId: SET }), testTask('verify'));
      return result?.case === 'verify' ? (result.value.problems ?? []) : ['no result'];
    },
  };
  return node;
}

/** A hold under which an engine with this configuration is suspended. */
export function holdWith(lost: AbortController, configSha256: string): Hold {
  return {
    ...{ operationId: 'backup-1', lock: undefined, position: undefined, sources: [], snapshots: undefined, inForce: true },
    ...{ lost: lost.signal, lockWaitMs: 1, blockedMs: 2 },
    stand: { configRevision: 1, configSha256, controllerPid: 1, controllerStarted: 1n },
  };
}

/** Captured, published, and committed; with `options`, after a precopy that `between` follows. */
export async function taken(node: CapturedNode, options?: CaptureOptionsInit, between: () => void = () => {}): Promise<PartManifest> {
  if (options !== undefined) await node.precopy(options);
  between();
  await node.capture(testTask('capture'), options);
  const part = await node.publish();
  const manifest = setManifest(
    { cluster: 'shop', setId: SET },
    { [node.agent.config.node]: sha256Of(readFileSync(join(node.part, LAYOUT.partManifest))) },
  );
  await openRepository(node.agent.config).commitSet(SET, manifest);
  return part;
}
