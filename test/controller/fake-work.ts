import { StillpointError } from '@stillpoint/shared/errors';
import { encodeManifest, sha256Of } from '@stillpoint/shared/manifest';
import type { StageTask } from '@stillpoint/shared/proto';
import { member, partOf } from './builders.ts';
import { moduleMember, modulePart } from './engine-builders.ts';
import { loadMemory, readTables, startStage, stopStage } from './fake-engine.ts';
import type { HoldPlace } from './fake-hold.ts';
import { type FakeNode, positionOf } from './fake-node.ts';
import type { FakeResult, FakeWork } from './fake-tasks.ts';

/** Fetches from another agent by a ticket. */
export interface Fetch {
  part(address: string, ticket: string): Promise<Uint8Array>;
  /** What the primary would load: its dbroot 1. */
  brm(address: string, ticket: string): Promise<string>;
}

/** What a real agent does to its disks and its server, done to the fake ones. */
export function fakeWork(node: FakeNode, place: HoldPlace, fetch: Fetch): FakeWork {
  return async (task, operationId, signal): Promise<FakeResult> => {
    switch (task.case) {
      case 'precopy':
        return { result: { case: 'precopy', value: {} } };
      case 'capture': {
        const { hold } = place;
        if (hold?.operationId !== operationId || !hold.inForce) throw new StillpointError('HOLD_LOST', 'no hold to capture under');
        if (node.engine !== undefined && !(node.engine.shared.readOnly && node.engine.shared.saved)) {
          throw new StillpointError('CAPTURE_FAILED', 'the engine takes writes, or its block resolution manager was not saved');
        }
        const position = positionOf(node);
        node.repository.set(task.value.setId, { captured: true });
        return { result: { case: 'capture', value: { position } } };
      }
      case 'publish': {
        const entry = node.repository.get(task.value.setId);
        if (entry === undefined) throw new StillpointError('PART_NOT_FOUND', 'nothing was captured');
        entry.part = encodeManifest(publishedPart(node, task.value.setId));
        return { result: { case: 'publish', value: { manifest: entry.part, partSha256: sha256Of(entry.part) } } };
      }
      case 'verify':
        return { result: { case: 'verify', value: { bytes: BigInt(ownPart(node, task.value.setId).length) } } };
      case 'stage':
        return stage(node, operationId, task.value, fetch, signal);
      case 'stopServer':
        node.server.running = false;
        return {};
      case 'switch':
        return switchData(node, operationId);
      case 'startServer':
        if (node.server.data === '') throw new StillpointError('SERVICE_FAILED', 'there is no data to start on');
        node.server.running = true;
        return { result: { case: 'startServer', value: { position: positionOf(node) } } };
      case 'replicate':
        node.server.replicates = true;
        return { result: { case: 'replicate', value: {} } };
      case 'rollback':
        return rollback(node, operationId, task.value.restartServer);
      case 'finish':
        return finish(node, operationId);
      case 'stopEngine':
        return { result: { case: 'stopEngine', value: { stopped: stopStage(moduleOf(node), task.value.stage, task.value.last) } } };
      case 'loadBrm': {
        const { primary } = task.value;
        loadMemory(moduleOf(node), primary === undefined ? undefined : await fetch.brm(primary.address, primary.ticket));
        return { result: { case: 'loadBrm', value: { replayed: 3 } } };
      }
      case 'startEngine':
        return { result: { case: 'startEngine', value: { running: startStage(moduleOf(node), task.value.stage) } } };
      case 'proveEngine':
        return {
          result: { case: 'proveEngine', value: { tables: readTables(moduleOf(node)), locks: [...moduleOf(node).shared.stuckLocks] } },
        };
      case undefined:
        throw new StillpointError('USAGE', 'a task that says nothing');
    }
  };
}

function moduleOf({ engine, name }: FakeNode) {
  if (engine === undefined) throw new StillpointError('RESTORE_REFUSED', `${name} is no module of the engine`);
  return engine;
}

async function stage(node: FakeNode, operationId: string, spec: StageTask, fetch: Fetch, signal: AbortSignal): Promise<FakeResult> {
  const { setId, sourceNode } = spec;
  const sources = [{ partSha256: spec.partSha256, seed: spec.seed }, ...spec.dbroots];
  for (const { partSha256, seed } of sources) {
    const part = seed === undefined ? ownPart(node, setId) : await fetch.part(seed.address, seed.ticket);
    if (sha256Of(part) !== partSha256) throw new StillpointError('PART_CORRUPT', 'the digest differs');
  }
  signal.throwIfAborted();
  const coming = new Map(spec.dbroots.map(({ node: from, number }) => [number, `${setId}/${from}/dbroot${number}`]));
  for (const number of spec.emptyDbroots) coming.set(number, '');
  const owned = [...(node.engine?.dbroots.keys() ?? [])].sort((a, b) => a - b);
  if (spec.columnstore && [...coming.keys()].sort((a, b) => a - b).join() !== owned.join()) {
    throw new StillpointError('RESTORE_REFUSED', `dbroots ${[...coming.keys()].join()} are named, ${owned.join()} are owned`);
  }
  const dbroots = spec.columnstore ? { coming, kept: new Map<number, string>(), gone: node.engine?.gone === true } : undefined;
  node.restore = { operationId, phase: 'staged', staged: `${setId}/${sourceNode}`, kept: '', dbroots };
  return { result: { case: 'stage', value: { path: '/stage', bytes: 5n, tablesEqual: 4 } } };
}

function switchData(node: FakeNode, operationId: string): FakeResult {
  const { engine, server } = node;
  if (server.running) throw new StillpointError('SERVER_RUNNING', 'the server runs');
  const restore = required(node, operationId);
  if (engine !== undefined && restore.dbroots !== undefined) {
    if (engine.running.size > 0) throw new StillpointError('ENGINE_RUNNING', `${[...engine.running].join()} runs`);
    if (restore.phase === 'staged') restore.dbroots.kept = engine.dbroots;
    Object.assign(engine, { dbroots: restore.dbroots.coming, memory: '', gone: false });
  }
  if (restore.phase === 'staged') node.restore = { ...restore, phase: 'switched', kept: server.data };
  server.data = restore.staged;
  return { result: { case: 'switch', value: { kept: ['/kept'] } } };
}

function rollback(node: FakeNode, operationId: string, restartServer: boolean): FakeResult {
  const { engine, server } = node;
  const { phase, kept, dbroots } = required(node, operationId, 'NOTHING_TO_ROLL_BACK');
  if (phase === 'switched') {
    if (server.running && !restartServer) throw new StillpointError('SERVER_RUNNING', 'the server runs');
    if (engine !== undefined && dbroots !== undefined) {
      if (engine.running.size > 0) throw new StillpointError('ENGINE_RUNNING', `${[...engine.running].join()} runs`);
      Object.assign(engine, { dbroots: dbroots.kept, memory: '', gone: dbroots.gone });
    }
    server.data = kept;
    node.setAside = operationId;
  }
  node.restore = undefined;
  server.running = restartServer || server.running;
  return { result: { case: 'rollback', value: { switchedBack: phase === 'switched', setAside: node.setAside === '' ? '' : '/undone' } } };
}

function finish(node: FakeNode, operationId: string): FakeResult {
  const { restore, setAside } = node;
  const discards = setAside === operationId || restore?.operationId === operationId;
  if (discards && restore?.phase === 'staged') throw new StillpointError('RESTORE_REFUSED', 'it is staged');
  if (discards) Object.assign(node, { restore: undefined, setAside: '' });
  return { result: { case: 'finish', value: { freedBytes: discards ? 5n : 0n } } };
}

function required({ restore }: FakeNode, operationId: string, code: 'RESTORE_REFUSED' | 'NOTHING_TO_ROLL_BACK' = 'RESTORE_REFUSED') {
  if (restore?.operationId !== operationId) throw new StillpointError(code, `there is nothing of ${operationId}`);
  return restore;
}

/** part.json in the repository. */
export function ownPart({ name, repository }: FakeNode, setId: string): Uint8Array {
  const part = repository.get(setId)?.part;
  if (part === undefined) throw new StillpointError('PART_NOT_FOUND', `${name} has no part.json of ${setId}`);
  return part;
}

function publishedPart(node: FakeNode, setId: string) {
  const { name } = node;
  const map = node.engine?.shared.map;
  const { part } = map === undefined ? partOf(member(name), { setId }) : modulePart(moduleMember(name, map), { setId });
  const { mariadb } = part;
  const sources = node.source === undefined ? [] : [{ connectionName: '', ...node.source, user: 'repl', usingGtid: 'Slave_Pos' }];
  return { ...part, ...(mariadb && { mariadb: { ...mariadb, sources, port: node.port, version: node.server.version } }) };
}
