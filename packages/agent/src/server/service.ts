import { durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import { NAME_PATTERN } from '@stillpoint/shared/operation';
import { type AgentService, CheckPurpose } from '@stillpoint/shared/proto';
import type { Implementation } from '@stillpoint/shared/rpc';
import type { Agent } from '../agent.ts';
import { checkCertificate } from '../check/certificate.ts';
import { checkRepository } from '../check/repository.ts';
import { checkColumnstore } from '../columnstore/detect.ts';
import type { HoldDesk } from '../hold/desk.ts';
import { serveHold } from '../hold/serve.ts';
import { checkMariadb } from '../mariadb/check.ts';
import type { Claims } from '../operation/claims.ts';
import type { OperationParts } from '../operation/lifecycle.ts';
import { fetchShard } from '../seed/index.ts';
import { describeNode } from './describe.ts';

/** Whatever the handlers hand their calls to. */
export interface ServiceParts extends OperationParts {
  readonly claims: Claims;
  readonly desk: HoldDesk;
}

/** An id from the wire: it becomes a file name. Throws USAGE. */
function id(what: string, text: string): string {
  if (NAME_PATTERN.test(text)) return text;
  throw new StillpointError('USAGE', `"${text.slice(0, 80)}" is not a ${what}`);
}

const operation = (text: string): string => id('operation id', text);
const set = (text: string): string => id('set id', text);
const task = (text: string): string => id('task id', text);

const DEFAULT_TTL_MS = 15_000;
const DEFAULT_TICKET_MS = 60_000;

/** The handlers: check the ids, call, answer. */
export function agentService(parts: ServiceParts): Implementation<typeof AgentService> {
  const { agent, claims, desk, journal, repository, tasks, tickets } = parts;
  const owned = (operationId: string): string => {
    claims.require(operation(operationId));
    return operationId;
  };
  return {
    describeNode: async (_, { signal }) => ({ facts: await describeNode(parts, signal) }),
    checkNode: async ({ purpose }, { signal }) => ({ results: await checkNode(agent, purpose, signal) }),

    claimNode: async ({ operationId, kind, owner, ttl }) => {
      const ttlMs = ttl === undefined ? DEFAULT_TTL_MS : durationMs(ttl);
      return { claim: await claims.claim({ operationId: operation(operationId), kind, owner, ttlMs }) };
    },
    releaseNode: async ({ operationId }) => {
      await claims.release(operation(operationId));
      return {};
    },

    hold: (requests, { signal }) => serveHold(desk, requests, signal),

    startTask: async ({ operationId, taskId, spec }) => {
      if (spec === undefined) throw new StillpointError('USAGE', 'The task says nothing of what to do');
      return tasks.start(owned(operationId), task(taskId), spec);
    },
    watchTask: ({ operationId, taskId }, { signal }) => tasks.watch(operation(operationId), task(taskId), signal),
    cancelTask: async ({ operationId, taskId }) => ({ state: await tasks.cancel(owned(operationId), task(taskId)) }),

    listSets: async function* (_, { signal }) {
      for await (const { setId, manifest, hasPart } of repository.listSets(signal)) yield { setId, hasPart, ...(manifest && { manifest }) };
    },
    readPart: async ({ setId }) => ({ manifest: await repository.readPart(set(setId)) }),
    commitSet: async ({ operationId, setId, manifest }) => {
      claims.require(operation(operationId));
      await repository.commitSet(set(setId), manifest);
      await journal.append(operationId, { type: 'committed', at: agent.clock.now().toISOString(), setId });
      agent.log.info({ operation: operationId, set: setId }, 'set committed');
      return {};
    },
    deletePart: async ({ operationId, setId }) => {
      claims.require(operation(operationId));
      const freedBytes = BigInt(await repository.deletePart(set(setId)));
      agent.log.info({ operation: operationId, set: setId, freedBytes: Number(freedBytes) }, 'part deleted');
      return { freedBytes };
    },

    grantSeed: async ({ operationId, setId, validFor }) => {
      const ms = validFor === undefined ? DEFAULT_TICKET_MS : durationMs(validFor);
      const { ticket, expiresAt } = tickets.grant(owned(operationId), set(setId), ms);
      return { ticket, expiresAt: timestampFromDate(expiresAt) };
    },
    fetchShard: (request, { signal }) => fetchShard({ repository, tickets, node: agent.config.node }, request, signal),
  };
}

async function checkNode(agent: Agent, purpose: CheckPurpose, signal: AbortSignal): ReturnType<typeof checkMariadb> {
  const { config } = agent;
  return [
    checkCertificate(agent),
    await checkRepository(agent),
    await checkColumnstore(config),
    ...(await checkMariadb(config, purpose === CheckPurpose.RESTORE ? 'restore' : 'backup', signal)),
  ];
}
