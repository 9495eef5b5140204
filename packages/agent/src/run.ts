import { isIPv6 } from 'node:net';
import { AgentService } from '@stillpoint/shared/proto';
import { type CertificateRole, createServer } from '@stillpoint/shared/rpc';
import type { Clock } from '@stillpoint/shared/time';
import { VERSION } from '@stillpoint/shared/version';
import type { Logger } from 'pino';
import type { Agent } from './agent.ts';
import type { AgentConfig } from './config/schema.ts';
import { createHoldDesk } from './hold/desk.ts';
import { createHolds } from './hold/registry.ts';
import { createClaims } from './operation/claims.ts';
import { openJournal } from './operation/journal.ts';
import { type OperationParts, operationRules, recoverOperation } from './operation/lifecycle.ts';
import { claimStateDirectory } from './operation/state-directory.ts';
import { openRepository } from './repository/index.ts';
import { createTickets } from './seed/index.ts';
import { agentService } from './server/service.ts';
import { createTaskRunner, recoverTasks } from './task/runner.ts';

/** An agent that serves its controller. */
export interface RunningAgent {
  /** host:port it listens on. */
  readonly address: string;
  /** Lets writers go on, ends all work, and stops serving. */
  stop(): Promise<void>;
}

export interface AgentOptions {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly log: Logger;
}

const JOURNAL_DAYS = 30;
const JOURNAL_OPERATIONS = 200;

/** Only a seeding agent calls another agent, and only for the files that its ticket names. */
const allowedRoles = (method: string): readonly CertificateRole[] => (method === 'fetchShard' ? ['agent', 'controller'] : ['controller']);

/**
 * Starts the agent: undoes what an earlier life left half done, then serves.
 * Throws CONFIG_FILE_UNREADABLE, TLS_REFUSED or NODE_BUSY (another agent on the same state directory or address).
 */
export async function startAgent({ config, clock, log: root }: AgentOptions): Promise<RunningAgent> {
  const log = root.child({ node: config.node });
  const giveBack = await claimStateDirectory(config.stateDir);
  try {
    const holds = createHolds();
    const agent: Agent = { config, clock, log, holds };
    const journal = await openJournal(config.stateDir);
    const tasks = createTaskRunner(agent, journal);
    const parts: OperationParts = { agent, journal, holds, tasks, repository: openRepository(config), tickets: createTickets(clock) };
    await recover(parts);

    const claims = createClaims(operationRules(parts));
    const server = await createServer({
      tls: config.tls,
      cluster: config.cluster,
      node: config.node,
      listen: config.listen,
      service: AgentService,
      implementation: agentService({ ...parts, claims, desk: createHoldDesk(agent, holds, claims, journal) }),
      allowedRoles,
      onRefused: (who, why) => log.warn({ who }, `refused: ${why}`),
    });
    const address = addressOf(config.listen, server.port);
    log.info({ address, version: VERSION }, 'agent is ready');
    return {
      address,
      stop: async () => {
        log.info('agent is stopping');
        // Writers first: whatever else takes time, they do not wait for it.
        const owner = claims.current()?.operationId;
        if (owner !== undefined) await holds.end(owner);
        await tasks.stop();
        await claims.stop();
        await server.close();
        await giveBack();
        log.info('agent has stopped');
      },
    };
  } catch (error) {
    await giveBack();
    throw error;
  }
}

async function recover(parts: OperationParts): Promise<void> {
  const { agent, journal } = parts;
  await journal.prune({ days: JOURNAL_DAYS, keep: JOURNAL_OPERATIONS, now: agent.clock.now() });
  for (const operationId of await journal.operations()) {
    await recoverTasks(agent, journal, operationId);
    await recoverOperation(parts, operationId);
  }
}

function addressOf(listen: string, port: number): string {
  const host = listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
