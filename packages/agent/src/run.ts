import { isIPv6 } from 'node:net';
import { StillpointError } from '@stillpoint/shared/errors';
import { AgentService } from '@stillpoint/shared/proto';
import { type CertificateRole, createServer, type RunningServer } from '@stillpoint/shared/rpc';
import { type Clock, formatDuration } from '@stillpoint/shared/time';
import { VERSION } from '@stillpoint/shared/version';
import type { Logger } from 'pino';
import type { Agent } from './agent.ts';
import { createCaptures, removeClonesOfEarlierLife } from './capture/index.ts';
import type { AgentConfig } from './config/schema.ts';
import { warmUp } from './encryption/index.ts';
import { createUndoer, settleEarlierLife, type Undoer } from './guardian/index.ts';
import { columnstoreEngine } from './hold/engine.ts';
import { createHolds } from './hold/registry.ts';
import { mariadbServer } from './hold/server.ts';
import { type Claims, createClaims } from './operation/claims.ts';
import { openJournal } from './operation/journal.ts';
import { type OperationParts, operationRules, pruneJournal, recoverOperation } from './operation/lifecycle.ts';
import { claimStateDirectory } from './operation/state-directory.ts';
import { openRepository } from './repository/index.ts';
import { createTickets } from './seed/index.ts';
import { agentService } from './server/service.ts';
import { TASK_DEFINITIONS } from './task/definitions.ts';
import { recoverTasks } from './task/record.ts';
import { createTaskRunner } from './task/runner.ts';

/** An agent that serves its controller. */
export interface RunningAgent {
  /** host:port it listens on. */
  readonly address: string;
  /** Lets writers go on at once, ends all work within the configured `stopGrace`, and stops serving. */
  stop(): Promise<void>;
}

export interface AgentOptions {
  readonly config: AgentConfig;
  readonly clock: Clock;
  /** Gets one line per step, with operation and node; never a secret. */
  readonly log: Logger;
}

/** Only a seeding agent calls another agent, and only for the files that its ticket names. */
const allowedRoles = (method: string): readonly CertificateRole[] => (method === 'fetchShard' ? ['agent', 'controller'] : ['controller']);

/**
 * Starts the agent: undoes what an earlier life left half done, then serves.
 * Throws CONFIG_FILE_UNREADABLE, TLS_REFUSED, CONFIG_INVALID (its address is taken) or NODE_BUSY (its state directory is).
 */
export async function startAgent({ config, clock, log: root }: AgentOptions): Promise<RunningAgent> {
  const log = root.child({ node: config.node });
  const giveBack = await claimStateDirectory(config.stateDir);
  const undoer = createUndoer({ config, clock, log });
  try {
    // First of all: writers fail, or wait, until that is done.
    await settleEarlierLife({ stateDir: config.stateDir, clock, log, undoer });
    const parts = await partsOf(config, clock, log, undoer);
    await recover(parts);
    const claims = createClaims(operationRules(parts));
    const desk = { node: config.node, holds: parts.holds, requireClaim: (operationId: string) => void claims.require(operationId) };
    const server = await createServer({
      tls: config.tls,
      cluster: config.cluster,
      node: config.node,
      listen: config.listen,
      service: AgentService,
      implementation: agentService({ ...parts, claims, desk }),
      allowedRoles,
      onRefused: (who, why) => log.warn({ who }, `refused: ${why}`),
    });
    const address = addressOf(config.listen, server.port);
    log.info({ address, version: VERSION }, 'agent is ready');
    // What it is for fails by itself, if ever it is needed.
    void warmUp().catch(() => undefined);
    return { address, stop: () => stopAgent({ parts, claims, undoer, server, giveBack }) };
  } catch (error) {
    await undoer.stop();
    await giveBack();
    throw error;
  }
}

async function partsOf(config: AgentConfig, clock: Clock, log: Logger, undoer: Undoer): Promise<OperationParts> {
  const journal = await openJournal(config.stateDir);
  const server = config.mariadb === undefined ? undefined : mariadbServer(config.mariadb);
  const captures = createCaptures();
  const gate = (operationId: string) => captures.get(operationId)?.gate;
  const holds = createHolds({ server, engine: columnstoreEngine({ config, clock, undoer }), gate, clock, log, journal });
  const agent: Agent = { config, clock, log, holds, captures };
  const tasks = createTaskRunner({ agent, journal, definitions: TASK_DEFINITIONS });
  return { agent, journal, holds, tasks, repository: openRepository(config), tickets: createTickets(clock) };
}

/** What cannot be cleared up now (a repository that is not mounted, a full disk) is left to the next start: only a running agent can tell of it. */
async function recover(parts: OperationParts): Promise<void> {
  const { agent, journal } = parts;
  for (const operationId of await journal.operations()) {
    try {
      await recoverTasks({ agent, journal, definitions: TASK_DEFINITIONS }, operationId);
      await recoverOperation(parts, operationId);
    } catch (err) {
      agent.log.error({ err, operation: operationId }, 'what the operation left behind could not be cleared up');
    }
  }
  try {
    for (const path of await removeClonesOfEarlierLife(agent.config))
      agent.log.warn({ path }, 'clones of a dbroot that an earlier life left were removed');
  } catch (err) {
    agent.log.error({ err }, 'it could not be seen whether clones of dbroots were left behind');
  }
  await pruneJournal(parts);
}

interface Served {
  readonly parts: OperationParts;
  readonly claims: Claims;
  readonly undoer: Undoer;
  readonly server: RunningServer;
  giveBack(): Promise<void>;
}

/** Writers first: whatever else takes time, they do not wait for it. */
async function stopAgent({ parts: { agent, holds, tasks }, claims, undoer, server, giveBack }: Served): Promise<void> {
  const { config, log } = agent;
  log.info('agent is stopping');
  await holds.loseAll(new StillpointError('HOLD_LOST', 'The agent was stopped', { node: config.node }));
  if (await tasks.stop(config.stopGrace)) await claims.stop();
  else log.warn(`work goes on after ${formatDuration(config.stopGrace)}; the next start of the agent clears up after it`);
  await undoer.stop();
  await server.close();
  await giveBack();
  log.info('agent has stopped');
}

function addressOf(listen: string, port: number): string {
  const host = listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
