import { isErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { CheckPurpose, type CheckResult, CheckStatus } from '@stillpoint/shared/proto';
import type { NodeAgent } from '../agents/pool.ts';

const CHECK_TIMEOUT_MS = 60_000;

const PURPOSES = { backup: CheckPurpose.BACKUP, restore: CheckPurpose.RESTORE } as const;

/** What an agent finds on its node. */
export async function checkNode(agent: NodeAgent, purpose: 'backup' | 'restore', signal: AbortSignal): Promise<readonly CheckResult[]> {
  const { results } = await agent.rpc.checkNode({ purpose: PURPOSES[purpose] }, { signal, timeoutMs: CHECK_TIMEOUT_MS });
  return results;
}

/** Throws the error that a failed check foretells (CHECK_FAILED when it names none); its message mentions the other failed ones. */
export async function requireFit(agent: NodeAgent, purpose: 'backup' | 'restore', signal: AbortSignal): Promise<void> {
  const results = await checkNode(agent, purpose, signal);
  const [first, ...others] = results.filter(({ status }) => status === CheckStatus.FAILED);
  if (first === undefined) return;
  const also = others.map(({ name, message }) => `; ${name}: ${message}`).join('');
  throw new StillpointError(
    isErrorCode(first.code) ? first.code : 'CHECK_FAILED',
    `${agent.node}: ${first.name}: ${first.message}${also}`,
    {
      node: agent.node,
      ...(first.hint === '' ? {} : { hint: first.hint }),
    },
  );
}
