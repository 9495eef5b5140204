import type { PlannedNode, PlanProblem, RestoreFacts } from './restore.ts';

/**
 * What speaks against a restore from encrypted parts: every node opens for itself what it is restored from, so it needs an identity. Told
 * by public keys; whether the files really are for them the agents see before they begin. Pure.
 */
export const decryptionProblems = (nodes: readonly PlannedNode[], facts: RestoreFacts): PlanProblem[] =>
  nodes.flatMap((planned) => sourcesOf(planned).flatMap((source) => problemsWith(planned.node, source, facts)));

/** Nodes whose parts a node is restored from, each once. */
function sourcesOf({ node, image, dbroots, restoreConfiguration }: PlannedNode): string[] {
  const sources = [image, ...dbroots.map(({ from }) => from), ...(restoreConfiguration ? [node] : [])];
  return [...new Set(sources)].filter((source) => source !== '');
}

function problemsWith(node: string, source: string, { nodes, parts }: RestoreFacts): PlanProblem[] {
  const reading = parts.get(source);
  const recipients = reading !== undefined && 'part' in reading ? (reading.part.encryption?.recipients ?? []) : [];
  const view = nodes.find((each) => each.node === node);
  if (recipients.length === 0 || view === undefined || 'error' in view) return [];
  const { decryption } = view.facts;
  if (decryption?.recipients.some((recipient) => recipients.includes(recipient))) return [];
  const message = `cannot open the part of ${source}, which is encrypted for ${recipients.join(', ')}`;
  const hint = 'Name a file with an identity of one of them in its agent.yaml (decryption.identityFile), and restart the agent.';
  if (decryption === undefined) return [{ node, message: `${message}: its agent has no identity`, hint }];
  if (decryption.problem !== '') return [{ node, message: `${message}: ${decryption.problem}`, hint: 'Correct that file.' }];
  return [{ node, message: `${message}: its agent has identities of ${decryption.recipients.join(', ')} only`, hint }];
}
