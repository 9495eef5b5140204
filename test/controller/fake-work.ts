import { StillpointError } from '@stillpoint/shared/errors';
import { encodeManifest, sha256Of } from '@stillpoint/shared/manifest';
import { member, partOf } from './builders.ts';
import type { HoldPlace } from './fake-hold.ts';
import { type FakeNode, positionOf } from './fake-node.ts';
import type { FakeResult, FakeWork } from './fake-tasks.ts';

/** Fetches a part from another agent by a ticket. */
export type FetchPart = (address: string, ticket: string) => Promise<Uint8Array>;

/** What a real agent does to its disks and its server, done to the fake ones. */
export function fakeWork(node: FakeNode, place: HoldPlace, fetchPart: FetchPart): FakeWork {
  return async (task, operationId, signal): Promise<FakeResult> => {
    switch (task.case) {
      case 'capture': {
        const { hold } = place;
        if (hold?.operationId !== operationId || !hold.inForce) throw new StillpointError('HOLD_LOST', 'no hold to capture under');
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
      case 'stage': {
        const { partSha256, seed, setId, sourceNode } = task.value;
        const part = seed === undefined ? ownPart(node, setId) : await fetchPart(seed.address, seed.ticket);
        if (sha256Of(part) !== partSha256) throw new StillpointError('PART_CORRUPT', 'the digest differs');
        signal.throwIfAborted();
        node.restore = { operationId, phase: 'staged', staged: `${setId}/${sourceNode}`, kept: '' };
        return { result: { case: 'stage', value: { path: '/stage', bytes: 5n, tablesEqual: 4 } } };
      }
      case 'stopServer':
        node.server.running = false;
        return {};
      case 'switch': {
        if (node.server.running) throw new StillpointError('SERVER_RUNNING', 'the server runs');
        const restore = required(node, operationId);
        if (restore.phase === 'staged') node.restore = { ...restore, phase: 'switched', kept: node.server.data };
        node.server.data = restore.staged;
        return { result: { case: 'switch', value: { kept: ['/kept'] } } };
      }
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
      case undefined:
        throw new StillpointError('USAGE', 'a task that says nothing');
    }
  };
}

function rollback(node: FakeNode, operationId: string, restartServer: boolean) {
  const { phase, kept } = required(node, operationId, 'NOTHING_TO_ROLL_BACK');
  if (phase === 'switched') {
    if (node.server.running && !restartServer) throw new StillpointError('SERVER_RUNNING', 'the server runs');
    node.server.data = kept;
    node.setAside = operationId;
  }
  node.restore = undefined;
  node.server.running = restartServer || node.server.running;
  return {
    result: { case: 'rollback' as const, value: { switchedBack: phase === 'switched', setAside: node.setAside === '' ? '' : '/undone' } },
  };
}

function finish(node: FakeNode, operationId: string) {
  const { restore, setAside } = node;
  const discards = setAside === operationId || restore?.operationId === operationId;
  if (discards && restore?.phase === 'staged') throw new StillpointError('RESTORE_REFUSED', 'it is staged');
  if (discards) Object.assign(node, { restore: undefined, setAside: '' });
  return { result: { case: 'finish' as const, value: { freedBytes: discards ? 5n : 0n } } };
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
  const { part } = partOf(member(node.name), { setId });
  const { mariadb } = part;
  const sources = node.source === undefined ? [] : [{ connectionName: '', ...node.source, user: 'repl', usingGtid: 'Slave_Pos' }];
  return { ...part, ...(mariadb && { mariadb: { ...mariadb, sources, port: node.port, version: node.server.version } }) };
}
