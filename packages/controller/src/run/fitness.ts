import { isErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { CheckPurpose, type CheckResult, CheckStatus } from '@stillpoint/shared/proto';
import type { NodeAnswer } from '../agents/facts.ts';
import type { NodeAgent } from '../agents/pool.ts';
import type { ControllerContext } from '../context.ts';
import { inspectExpiry } from '../pki/index.ts';
import { clusterChecks } from '../plan/cluster-checks.ts';

const CHECK_TIMEOUT_MS = 60_000;

const PURPOSES = { backup: CheckPurpose.BACKUP, restore: CheckPurpose.RESTORE } as const;

/** What an agent finds on its node. */
export async function checkNode(agent: NodeAgent, purpose: 'backup' | 'restore', signal: AbortSignal): Promise<readonly CheckResult[]> {
  const { results } = await agent.rpc.checkNode({ purpose: PURPOSES[purpose] }, { signal, timeoutMs: CHECK_TIMEOUT_MS });
  return results;
}

/** Throws the error that a failed check foretells (CHECK_FAILED when it names none); its message mentions the other failed ones. */
export async function requireFit(agent: NodeAgent, purpose: 'backup' | 'restore', signal: AbortSignal): Promise<void> {
  refuseFailed(await checkNode(agent, purpose, signal), agent.node);
}

/** The same for what no node can see by itself, above all whether all have the same Columnstore.xml. Every node has answered. */
export function requireFitCluster({ config, clock }: ControllerContext, nodes: readonly NodeAnswer[]): void {
  refuseFailed(clusterChecks({ purpose: 'backup', nodes, silent: [], expiry: inspectExpiry(config.tls, clock) }), undefined);
}

function refuseFailed(results: readonly CheckResult[], node: string | undefined): void {
  const [first, ...others] = results.filter(({ status }) => status === CheckStatus.FAILED);
  if (first === undefined) return;
  const { code, hint, message, name } = first;
  const where = node === undefined ? '' : `${node}: `;
  const also = others.map((other) => `; ${other.name}: ${other.message}`).join('');
  throw new StillpointError(isErrorCode(code) ? code : 'CHECK_FAILED', `${where}${name}: ${message}${also}`, {
    node,
    ...(hint === '' ? {} : { hint }),
  });
}
