import { type Duration, durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import { OPERATION_KINDS, type OperationKind } from '@stillpoint/shared/operation';
import { type AgentService, CheckPurpose } from '@stillpoint/shared/proto';
import type { Implementation } from '@stillpoint/shared/rpc';
import type { Agent } from '../agent.ts';
import { checkCertificate } from '../check/certificate.ts';
import { checkClock } from '../check/clock.ts';
import { checkDecryption } from '../check/decryption.ts';
import { checkRepository } from '../check/repository.ts';
import { servedBrm } from '../columnstore/brm/load-source.ts';
import { checkColumnstore } from '../columnstore/check.ts';
import { type HoldDesk, serveHold } from '../hold/serve.ts';
import { checkMariadb } from '../mariadb/check.ts';
import type { Claims } from '../operation/claims.ts';
import type { OperationParts } from '../operation/lifecycle.ts';
import { checkedName } from '../repository/index.ts';
import { readerOf, refuseWhileRead, restoresReading } from '../restore/reading.ts';
import { fetchShard } from '../seed/index.ts';
import { cleanNode } from './clean.ts';
import { describeNode } from './describe.ts';

/** Whatever the handlers hand their calls to. */
export interface ServiceParts extends OperationParts {
  readonly claims: Claims;
  readonly desk: HoldDesk;
}

// Ids from the wire become file names.
const operation = (text: string): string => checkedName(text, 'operation id');
const set = (text: string): string => checkedName(text, 'set id');
const task = (text: string): string => checkedName(text, 'task id');

/** What an operation may do on a node depends on its kind, so one that is not known may do nothing. Throws USAGE. */
function kind(text: string): OperationKind {
  const known = OPERATION_KINDS.find((one) => one === text);
  if (known !== undefined) return known;
  throw new StillpointError('USAGE', `"${text.slice(0, 80)}" is not a kind of operation`);
}

/** How long a claim may live without a renewal, milliseconds: the node is nobody else's meanwhile. */
const TTL = { least: 1_000, most: 600_000, usual: 15_000 };
const DEFAULT_TICKET_MS = 60_000;

const ttlOf = (ttl: Duration | undefined): number =>
  ttl === undefined ? TTL.usual : Math.min(TTL.most, Math.max(TTL.least, durationMs(ttl)));

/** The handlers: check the ids, call, answer. */
export function agentService(parts: ServiceParts): Implementation<typeof AgentService> {
  const { agent, claims, desk, repository, tasks, tickets } = parts;
  /** Does something in the name of an operation, which must own the node. */
  const owned = <T>(operationId: string, work: () => Promise<T>): Promise<T> => claims.within(operation(operationId), work);
  /** A caller that gives up does not end what was begun: a deletion that it sends next must find all that the commit before has written. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(operationId: string, work: () => Promise<T>): Promise<T> =>
    owned(operationId, () => {
      const done = last.then(work);
      last = done.catch(() => undefined);
      return done;
    });
  return {
    describeNode: async (_, { signal }) => ({ facts: await describeNode(parts, signal) }),
    checkNode: async ({ purpose }, { signal }) => ({ results: await checkNode(agent, purpose, signal) }),

    claimNode: async (asked) => {
      const { owner, renew, ttl } = asked;
      const request = { operationId: operation(asked.operationId), kind: kind(asked.kind), owner, ttlMs: ttlOf(ttl), renew };
      return { claim: await claims.claim(request) };
    },
    releaseNode: async ({ operationId, brokenOff }) => {
      await claims.release(operation(operationId), brokenOff ? 'broken-off' : 'released');
      return {};
    },

    hold: (requests, { signal }) => serveHold(desk, requests, signal),

    startTask: ({ operationId, taskId, spec }) =>
      owned(operationId, async () => {
        if (spec === undefined) throw new StillpointError('USAGE', 'The task says nothing of what to do');
        return tasks.start(operationId, task(taskId), spec);
      }),
    watchTask: ({ operationId, taskId }, { signal }) => tasks.watch(operation(operationId), task(taskId), signal),
    cancelTask: async ({ operationId, taskId }) => {
      claims.require(operation(operationId));
      return { state: await tasks.cancel(operationId, task(taskId)) };
    },

    listSets: async function* (_, { signal }) {
      const readings = await restoresReading(agent.config.stateDir);
      for await (const { setId, manifest, hasPart, isProtected } of repository.listSets(signal)) {
        const readBy = readerOf(readings, setId)?.operationId ?? '';
        yield { setId, hasPart, protected: isProtected, readBy, ...(manifest && { manifest }) };
      }
    },
    readPart: async ({ setId }) => ({ manifest: await repository.readPart(set(setId)) }),
    commitSet: ({ operationId, setId, manifest }) =>
      inTurn(operationId, async () => {
        await commitSet(parts, operationId, set(setId), manifest);
        return {};
      }),
    deletePart: ({ operationId, setId }) =>
      inTurn(operationId, async () => ({ freedBytes: BigInt(await deletePart(parts, operationId, set(setId))) })),
    protectSet: ({ operationId, setId, protect }) =>
      inTurn(operationId, async () => ({ changed: await protectSet(parts, operationId, set(setId), protect) })),
    cleanNode: ({ operationId, olderThan, committed }, { signal }) =>
      cleanNode(parts, { operationId: operationId === '' ? '' : operation(operationId), olderThan, committed }, signal),

    grantSeed: ({ operationId, setId, validFor, brm }) =>
      owned(operationId, async () => {
        const ms = validFor === undefined ? DEFAULT_TICKET_MS : durationMs(validFor);
        const { ticket, expiresAt } = brm ? tickets.grantBrm(operationId, ms) : tickets.grant(operationId, set(setId), ms);
        agent.log.info({ operation: operationId, set: setId, brm, until: expiresAt.toISOString() }, 'seed ticket granted');
        return { ticket, expiresAt: timestampFromDate(expiresAt) };
      }),
    fetchShard: (request, { signal }) =>
      fetchShard({ repository, tickets, node: agent.config.node, brm: () => servedBrm(agent.config) }, request, signal),
  };
}

async function commitSet(
  { agent, journal, repository }: ServiceParts,
  operationId: string,
  setId: string,
  manifest: Uint8Array,
): Promise<void> {
  const log = agent.log.child({ operation: operationId, set: setId });
  log.info('commit started');
  await repository.commitSet(setId, manifest);
  await journal.append(operationId, { type: 'committed', at: agent.clock.now().toISOString(), setId });
  log.info('set committed');
}

async function deletePart({ agent, repository }: ServiceParts, operationId: string, setId: string): Promise<number> {
  const log = agent.log.child({ operation: operationId, set: setId });
  log.info('deletion started');
  await refuseWhileRead(agent.config.stateDir, setId);
  const freedBytes = await repository.deletePart(setId);
  log.info({ freedBytes }, 'part deleted');
  return freedBytes;
}

/** The mark says who set it, for whoever wonders why the set stays. */
async function protectSet({ agent, claims, repository }: ServiceParts, operationId: string, setId: string, on: boolean): Promise<boolean> {
  const mark = { setId, operationId, by: claims.current()?.owner ?? '', at: agent.clock.now().toISOString() };
  const changed = on
    ? await repository.protectSet(setId, new TextEncoder().encode(`${JSON.stringify(mark, null, 2)}\n`))
    : await repository.unprotectSet(setId);
  agent.log.info({ operation: operationId, set: setId, changed }, on ? 'set protected' : 'set no longer protected');
  return changed;
}

async function checkNode(agent: Agent, purpose: CheckPurpose, signal: AbortSignal): ReturnType<typeof checkMariadb> {
  const { config } = agent;
  const use = purpose === CheckPurpose.RESTORE ? 'restore' : 'backup';
  return [
    checkCertificate(agent),
    await checkClock(agent),
    await checkRepository(agent),
    ...(await checkDecryption(agent, use)),
    ...(await checkColumnstore(config, use, signal)),
    ...(await checkMariadb(config, use, signal)),
  ];
}
