import type { PlannedNode, RestorePlan } from './restore.ts';

/** What a plan relies on, in words for the user. Free space and sizes change all the time: they count only when they become a problem. */
const RELIED_ON: { readonly [F in keyof PlannedNode]?: string } = {
  image: 'image',
  imageSha256: 'digest of the image',
  ownPartSha256: 'digest of its own part',
  datadir: 'data directory',
  installedVersion: 'server version',
  setVersion: 'version of the image',
  restoreConfiguration: 'configuration to restore',
  gtidPosition: 'GTID position',
};

/** What has changed between a plan and the same plan made now, a sentence each; empty when the plan still holds. Pure. */
export function changesSince(plan: RestorePlan, now: RestorePlan): string[] {
  const nodes = plan.nodes.flatMap((before) => {
    const after = now.nodes.find(({ node }) => node === before.node);
    return after === undefined ? [`${before.node} can no longer be planned`] : changesOf(before, after);
  });
  const known = new Set(plan.problems.map(({ node, message }) => `${node}: ${message}`));
  const problems = now.problems.map(({ node, message }) => `${node}: ${message}`).filter((text) => !known.has(text));
  return [...nodes, ...problems];
}

function changesOf(before: PlannedNode, after: PlannedNode): string[] {
  const fields = Object.entries(RELIED_ON) as [keyof PlannedNode, string][];
  const changed = fields
    .filter(([field]) => before[field] !== after[field])
    .map(([field, name]) => `${before.node}: ${name} was ${before[field] || 'empty'}, is ${after[field] || 'empty'}`);
  const looks: [string, (node: PlannedNode) => string][] = [
    ['source', endpoint],
    ['engine', engine],
    ['dbroots', dbroots],
  ];
  const others = looks.map(([name, look]) => ({ name, was: look(before), is: look(after) })).filter(({ was, is }) => was !== is);
  return [...changed, ...others.map(({ name, was, is }) => `${before.node}: its ${name} was ${was}, is ${is}`)];
}

const engine = ({ engine: found }: PlannedNode): string =>
  found === undefined
    ? 'none'
    : `module pm${found.module}${found.primary ? ', the primary,' : ''} of ${found.version || 'unknown version'}`;

const dbroots = ({ dbroots: planned }: PlannedNode): string =>
  planned
    .map(({ from, number, partSha256, path }) => `${number} in ${path} from ${from || 'nothing'} ${partSha256.slice(0, 8)}`)
    .join('; ') || 'none';

const endpoint = ({ replicateFrom }: PlannedNode): string =>
  replicateFrom === undefined ? 'nobody' : `${replicateFrom.node} at ${replicateFrom.host}:${replicateFrom.port}`;
