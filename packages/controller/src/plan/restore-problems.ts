import type { RestoreRequest } from '../api.ts';
import { restoredMember } from './chosen-nodes.ts';
import { isNewReplica, memberOf, ownPartFits, rootMember } from './image.ts';
import type { NodeReading, PlannedNode, PlanProblem, RestoreFacts } from './restore.ts';
import type { NodeView } from './topology.ts';
import { relateVersions, seriesOf } from './versions.ts';

/** What speaks against restoring one node. */
export function problemsOf(
  node: string,
  planned: readonly PlannedNode[],
  wanted: readonly string[],
  request: RestoreRequest,
  facts: RestoreFacts,
): PlanProblem[] {
  const problem = (message: string, hint: string): PlanProblem => ({ node, message, hint });
  const plan = planned.find((other) => other.node === node);
  const member = restoredMember(node, facts, plan?.engine !== undefined);
  const view = facts.nodes.find((other) => other.node === node);
  if (member === undefined || (view === undefined && isNewReplica(member))) {
    return [problem(`is not in set ${facts.set.setId}`, `Choose among ${facts.set.members.map((m) => m.node).join(', ')}.`)];
  }
  if (view === undefined) {
    return [
      problem('is in the set but not in the cluster configuration', 'Add the node, or restore the others by naming them with --node.'),
    ];
  }
  if ('error' in view) return [problem(view.error.message, view.error.hint)];
  if (plan === undefined) return [];
  return [
    ...serverProblems(plan, view, problem),
    ...partProblems(plan, facts, problem),
    ...(plan.needBytes > plan.freeBytes && plan.datadir !== ''
      ? [problem(`needs ${plan.needBytes} bytes beside ${plan.datadir}, ${plan.freeBytes} are free`, 'Free space on that file system.')]
      : []),
    ...(view.facts.unfinishedRestore === ''
      ? []
      : [
          problem(
            `restore ${view.facts.unfinishedRestore} was neither finished nor rolled back`,
            'Use `stillpoint restore resume`, `restore rollback` or `restore finish` with its id first.',
          ),
        ]),
    ...(request.replication === 'start' && member.source !== '' && plan.replicateFrom === undefined
      ? [problem(`nothing is known of the address of its source ${member.source}`, 'Set mariadb.advertise in the agent of the source.')]
      : []),
    ...(request.replication === 'start' && plan.replicateFrom !== undefined && view.facts.mariadb?.replicationAccount === false
      ? [
          problem(
            `its agent knows no account to replicate from ${plan.replicateFrom.node} with`,
            'Add mariadb.replication (user, passwordFile) to its agent.yaml, or plan with --replication print.',
          ),
        ]
      : []),
    ...(request.replication === 'start' && plan.image !== '' && rootMember(member, facts.set) === undefined
      ? [problem('is part of a ring of replication, which cannot be started from one cut', 'Plan with --replication print.')]
      : []),
    ...(request.replication === 'start' &&
    plan.image === node &&
    !ownPartFits(member, { restored: wanted, replicas: request.replicas, facts })
      ? [
          problem(
            `its own part is behind that of its source (${member.gtidSlavePos || 'no position'}), and a restored source has no binary log to catch up from`,
            'Restore replicas from the primary (--replicas primary or auto).',
          ),
        ]
      : []),
  ];
}

type MakeProblem = (message: string, hint: string) => PlanProblem;

function serverProblems(plan: PlannedNode, { facts: { mariadb } }: NodeView, problem: MakeProblem): PlanProblem[] {
  if (plan.image === '' && plan.engine !== undefined) {
    const hint = 'Remove `mariadb` from its agent.yaml, or let another node be that module.';
    return mariadb === undefined ? [] : [problem('has a MariaDB server now, of which its part holds no image', hint)];
  }
  if (plan.setVersion === '') return [problem('its part holds no image of a MariaDB server', 'Leave the node out with --node.')];
  if (mariadb === undefined) return [problem('its agent has no MariaDB server configured', 'Configure `mariadb` in the agent.')];
  const relation = relateVersions(plan.installedVersion, plan.setVersion);
  const problems: PlanProblem[] = [];
  if (relation === 'other-series') {
    problems.push(
      problem(
        `has MariaDB ${plan.installedVersion}, the image is of ${plan.setVersion}`,
        `Install MariaDB ${seriesOf(plan.setVersion)} on it.`,
      ),
    );
  } else if (relation === 'unknown') {
    problems.push(
      problem(`the version of its server is unknown ("${plan.installedVersion}")`, `Install MariaDB ${seriesOf(plan.setVersion)} on it.`),
    );
  }
  if (mariadb.backupToolVersion === '') {
    problems.push(problem('mariadb-backup is not installed', 'Install the mariadb-backup of the series of the server.'));
  } else if (relateVersions(mariadb.backupToolVersion, plan.setVersion) === 'other-series') {
    problems.push(
      problem(
        `has mariadb-backup ${mariadb.backupToolVersion}, the image is of MariaDB ${plan.setVersion}`,
        `Install mariadb-backup ${seriesOf(plan.setVersion)}.`,
      ),
    );
  }
  return problems;
}

function partProblems(plan: PlannedNode, facts: RestoreFacts, problem: MakeProblem): PlanProblem[] {
  if (plan.image === '') return [];
  const image = facts.parts.get(plan.image);
  if (image === undefined) return [problem(`its image lies on ${plan.image}, which is not in the cluster configuration`, 'Add that node.')];
  if ('error' in image) return [problem(`the part of ${plan.image} cannot be used: ${image.error.message}`, image.error.hint)];
  return image.sha256 === plan.imageSha256
    ? []
    : [problem(`part.json of ${plan.image} is not the one that the set recorded`, 'Restore from another set.')];
}

/** Servers that would share a server id could not replicate from each other. */
export function duplicateServerIds(nodes: readonly PlannedNode[], facts: RestoreFacts): PlanProblem[] {
  const seen = new Map<number, string>();
  return nodes.flatMap(({ node }) => {
    const view = facts.nodes.find((other) => other.node === node);
    const part = facts.parts.get(node);
    const id = serverIdOf(view) || (part !== undefined && 'part' in part ? (part.part.mariadb?.serverId ?? 0) : 0);
    const other = id === 0 ? undefined : seen.get(id);
    seen.set(id, node);
    return other === undefined
      ? []
      : [{ node, message: `has server_id ${id}, as ${other} has`, hint: 'Give every server an id of its own.' }];
  });
}

const serverIdOf = (view: NodeReading | undefined): number =>
  view !== undefined && 'facts' in view ? (view.facts.mariadb?.serverId ?? 0) : 0;

/** True for a replica whose source goes on as it is. */
const follower = ({ replicateFrom }: PlannedNode, wanted: readonly string[]): boolean =>
  replicateFrom !== undefined && !wanted.includes(replicateFrom.node);

/** What an administrator would want to know before confirming. */
export function warningsOf(
  nodes: readonly PlannedNode[],
  wanted: readonly string[],
  request: RestoreRequest,
  facts: RestoreFacts,
): string[] {
  const { members } = facts.set;
  const perNode = nodes.flatMap((plan) => {
    const member = memberOf(plan.node, facts.set);
    const own = facts.parts.get(plan.node);
    const behind =
      member !== undefined && plan.image === plan.node && !ownPartFits(member, { restored: wanted, replicas: request.replicas, facts });
    return [
      plan.serverRunning && `${plan.node}: the server is running; the restore will stop it if that is allowed (--stop-servers)`,
      relateVersions(plan.installedVersion, plan.setVersion) === 'other-patch' &&
        `${plan.node}: has MariaDB ${plan.installedVersion}, the image is of ${plan.setVersion}`,
      behind &&
        request.replication === 'print' &&
        `${plan.node}: its own part is behind that of its source; it cannot catch up from a restored one`,
      own !== undefined && 'error' in own && plan.image !== plan.node && `${plan.node}: its own part cannot be used: ${own.error.message}`,
      follower(plan, wanted) &&
        `${plan.node}: will follow ${plan.replicateFrom?.node} from ${plan.gtidPosition}, so the binary logs there must still reach back to it`,
      request.restoreConfiguration && !plan.restoreConfiguration && `${plan.node}: no configuration files to put back`,
    ].filter((text) => text !== false);
  });
  const leftBehind = members
    .filter(({ node, source }) => source !== '' && wanted.includes(source) && !wanted.includes(node))
    .map(
      ({ node, source }) => `${node} is not restored but replicated from ${source}: it may hold transactions that ${source} will not have`,
    );
  const withoutServer =
    request.nodes === undefined
      ? members.filter(({ node }) => !wanted.includes(node)).map(({ node }) => `${node} has no MariaDB server and is left out`)
      : [];
  return [...perNode, ...leftBehind, ...withoutServer];
}
