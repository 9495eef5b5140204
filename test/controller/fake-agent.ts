import { durationFromMs, durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { TlsSetting } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import { decodeSetManifest, sha256Of } from '@stillpoint/shared/manifest';
import { AgentService, CheckStatus, type ClaimNodeRequest, LeftoverKind, Role } from '@stillpoint/shared/proto';
import { createServer, type Implementation, type RunningServer } from '@stillpoint/shared/rpc';
import { factsOfModule } from './fake-engine.ts';
import { type HoldPlace, serveHold } from './fake-hold.ts';
import { type FakeNode, positionOf } from './fake-node.ts';
import { fakeTasks } from './fake-tasks.ts';
import { type Fetch, fakeWork, ownPart } from './fake-work.ts';

/** An agent in this process, with the semantics of a real one over a fake server and fake disks, served as a real one is. */
export interface FakeAgent {
  readonly port: number;
  /** Ends without a farewell: locks are gone, claims forgotten, tasks interrupted. */
  kill(): Promise<void>;
}

interface Claim {
  readonly request: ClaimNodeRequest;
  timer: NodeJS.Timeout | undefined;
}

/** A claim that lives on because work runs is looked at this often, ms. */
const LOOK_AGAIN_MS = 50;

/** Starts an agent on a node. */
export async function startAgent(node: FakeNode, tls: TlsSetting, cluster: string, fetch: Fetch): Promise<FakeAgent> {
  const place: HoldPlace = { hold: undefined, connections: 0 };
  const tasks = fakeTasks(node, fakeWork(node, place, fetch));
  let claim: Claim | undefined;
  const end = async (operationId: string): Promise<void> => {
    clearTimeout(claim?.timer);
    place.hold?.lose('HOLD_LOST', 'the operation has ended');
    await tasks.cancelAll(operationId);
    for (const [setId, { set }] of node.repository) {
      if (set === undefined) node.repository.delete(setId);
    }
    claim = undefined;
    node.history.push('given back');
  };
  const expire = async (of: Claim): Promise<void> => {
    if (claim !== of) return;
    if (of.request.kind === 'restore' && tasks.running(of.request.operationId)) of.timer = setTimeout(() => void expire(of), LOOK_AGAIN_MS);
    else await end(of.request.operationId);
  };
  const owned = (operationId: string): string => {
    if (claim?.request.operationId === operationId) return operationId;
    throw new StillpointError('CLAIM_MISSING', `${operationId} does not own ${node.name}`);
  };

  const implementation: Implementation<typeof AgentService> = {
    describeNode: async (_, { signal }) => {
      await node.faults.reach('describeNode', signal);
      return { facts: factsOf(node) };
    },
    checkNode: async (_, { signal }) => {
      await node.faults.reach('checkNode', signal);
      return { results: [{ name: 'mariadb.server', status: CheckStatus.OK, message: 'the server answers' }] };
    },
    claimNode: async (request, { signal }) => {
      await node.faults.reach('claimNode', signal);
      const { kind, operationId, owner, renew, ttl } = request;
      if (claim !== undefined && claim.request.operationId !== operationId) {
        throw new StillpointError('NODE_BUSY', `${node.name} is claimed by ${claim.request.operationId}`);
      }
      if (claim === undefined && renew) throw new StillpointError('CLAIM_MISSING', `${operationId} has lost ${node.name}`);
      if (claim === undefined) node.history.push('claimed');
      clearTimeout(claim?.timer);
      const mine: Claim = { request, timer: undefined };
      mine.timer = setTimeout(() => void expire(mine), ttl === undefined ? 0 : durationMs(ttl));
      claim = mine;
      return { claim: { operationId, kind, owner, expiresIn: durationFromMs(1) } };
    },
    releaseNode: async ({ operationId, brokenOff }, { signal }) => {
      await node.faults.reach('releaseNode', signal);
      if (brokenOff) await node.faults.reach('releaseNode.broken-off', signal);
      if (claim?.request.operationId === operationId) await end(operationId);
      return {};
    },
    hold: (requests, { signal }) => serveHold(node, place, requests, signal),
    startTask: async ({ operationId, taskId, spec }) => {
      if (spec === undefined) throw new StillpointError('USAGE', 'no spec');
      return tasks.start(owned(operationId), taskId, spec);
    },
    watchTask: ({ operationId, taskId }, { signal }) => tasks.watch(operationId, taskId, signal),
    cancelTask: async ({ operationId, taskId }) => ({ state: await tasks.cancel(operationId, taskId) }),
    listSets: async function* (_, { signal }) {
      await node.faults.reach('listSets', signal);
      for (const [setId, { part, set }] of node.repository)
        yield {
          setId,
          hasPart: part !== undefined,
          manifest: set ?? new Uint8Array(),
          protected: node.marks.has(setId),
          readBy: readerOf(node, setId),
        };
    },
    readPart: async ({ setId }) => ({ manifest: ownPart(node, setId) }),
    commitSet: async ({ operationId, setId, manifest }, { signal }) => {
      owned(operationId);
      await node.faults.reach('commitSet', signal);
      const member = decodeSetManifest(manifest, 'set.json').members.find((each) => each.node === node.name);
      if (member?.partSha256 !== sha256Of(ownPart(node, setId))) throw new StillpointError('PART_CORRUPT', 'another part lies here');
      const entry = node.repository.get(setId);
      if (entry !== undefined) entry.set = manifest;
      node.history.push('committed');
      await node.faults.reach('commitSet.answer', signal);
      return {};
    },
    deletePart: async ({ operationId, setId }, { signal }) => {
      owned(operationId);
      await node.faults.reach('deletePart', signal);
      if (node.marks.has(setId)) throw new StillpointError('SET_PROTECTED', `${setId} is protected`);
      if (!node.repository.delete(setId)) throw new StillpointError('PART_NOT_FOUND', `no part of ${setId}`);
      node.history.push('part deleted');
      return { freedBytes: 100n };
    },
    protectSet: async ({ operationId, setId, protect }, { signal }) => {
      owned(operationId);
      await node.faults.reach('protectSet', signal);
      if (protect && node.repository.get(setId)?.set === undefined) throw new StillpointError('SET_NOT_FOUND', `no set ${setId}`);
      const changed = protect !== node.marks.has(setId);
      if (protect) node.marks.add(setId);
      else node.marks.delete(setId);
      return { changed };
    },
    cleanNode: async function* ({ operationId }, { signal }) {
      if (operationId !== '') owned(operationId);
      await node.faults.reach('cleanNode', signal);
      yield {
        kind: LeftoverKind.SCRATCH,
        path: `/backup/${node.name}/scratch`,
        bytes: 10n,
        reason: 'Of the test',
        removed: operationId !== '',
      };
    },
    grantSeed: async ({ brm, operationId, setId }) => ({
      ticket: `${owned(operationId)}/${brm ? 'brm' : setId}/${node.name}`,
      expiresAt: timestampFromDate(new Date()),
    }),
    fetchShard: async function* ({ ticket }) {
      yield { data: ownPart(node, ticket.split('/')[1] ?? '') };
    },
  };
  const server: RunningServer = await createServer({
    tls,
    cluster,
    node: node.name,
    listen: '127.0.0.1:0',
    service: AgentService,
    implementation,
    allowedRoles: () => ['controller'],
    onRefused: () => {},
  });
  return {
    port: server.port,
    kill: async () => {
      clearTimeout(claim?.timer);
      claim = undefined;
      tasks.kill();
      place.hold?.lose('HOLD_LOST', 'the agent was killed');
      await server.close();
    },
  };
}

/** As an agent tells of a restore that has not come to its switch. */
const readerOf = ({ restore }: FakeNode, setId: string): string =>
  restore?.phase === 'staged' && restore.staged.includes(setId) ? restore.operationId : '';

function factsOf(node: FakeNode) {
  const { server } = node;
  const sources =
    node.source === undefined || !server.replicates ? [] : [{ ...node.source, user: 'repl', usingGtid: 'Slave_Pos', running: true }];
  return {
    node: node.name,
    agentVersion: node.agentVersion,
    hostname: 'one-host',
    roles: node.engine === undefined ? [Role.SQL] : [Role.SQL, Role.PM],
    ...(node.engine === undefined || node.engine.gone ? {} : { columnstore: factsOfModule(node.engine) }),
    mariadb: {
      running: server.running,
      version: server.version,
      backupToolVersion: '10.11.19-MariaDB',
      serverId: node.serverId,
      datadir: `/data/${node.name}`,
      datadirBytes: server.data === '' ? 0n : 1_000n,
      datadirFreeBytes: server.freeBytes,
      position: positionOf(node),
      sources: server.running ? sources : [],
      port: node.port,
      replicationAccount: true,
      gateObstacle: 'its image is taken under the lock',
    },
    repository: { path: `/backup/${node.name}`, freeBytes: 1_000_000n },
    unfinishedRestore: node.restore?.operationId ?? '',
    unfinishedRestoreStaged: node.restore?.phase === 'staged',
    now: timestampFromDate(new Date()),
  };
}
