import { StillpointError } from '@stillpoint/shared/errors';
import { durationOf } from '@stillpoint/shared/time';
import type { RestoreRun } from './restore-run.ts';

/** A seed is asked for once per shard, as the one before it has come: a large part takes hours. */
const TICKET_VALID_MS = 12 * 3_600_000;
/** The files of a block resolution manager are fetched at once. */
const BRM_TICKET_VALID_MS = 600_000;

/** Where another agent fetches something, and the ticket for it. */
export interface Seed {
  readonly address: string;
  readonly ticket: string;
}

/** A ticket for a node's part of the set. Throws RESTORE_REFUSED when that node is left out, or what the agent answers. */
export async function seedPart({ agents, leftOut, operation, plan }: RestoreRun, from: string, whose: string): Promise<Seed> {
  if (leftOut.includes(from)) {
    throw new StillpointError('RESTORE_REFUSED', `the image of ${whose} lies on ${from}, which is left out`, {
      node: whose,
      hint: `Leave ${whose} out too, or bring ${from} back.`,
    });
  }
  const agent = agents.get(from);
  const validFor = durationOf(TICKET_VALID_MS);
  const { ticket } = await agent.rpc.grantSeed({ operationId: operation.id, setId: plan.setId, validFor });
  return { address: agent.address, ticket };
}

/** A ticket for the block resolution manager that the engine's primary would load now. */
export async function seedBrm({ agents, operation }: RestoreRun, primary: string): Promise<Seed> {
  const agent = agents.get(primary);
  const { ticket } = await agent.rpc.grantSeed({ operationId: operation.id, brm: true, validFor: durationOf(BRM_TICKET_VALID_MS) });
  return { address: agent.address, ticket };
}
