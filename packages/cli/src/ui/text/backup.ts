import type { BackupNode, BackupPlan, SetSummary } from '@stillpoint/controller';
import { borrowedOf, type PartManifest, type SetManifest, type SetMember } from '@stillpoint/shared/manifest';
import { formatDuration } from '@stillpoint/shared/time';
import type { ResultOf } from '../result.ts';
import type { Style } from '../style.ts';
import { pairs, sections, table } from '../table.ts';
import { count, formatBytes, formatRate, formatShare, formatTime } from '../units.ts';
import { phaseTables } from './block.ts';
import { engineResumeLines, numbersText, partEngineSections, plannedEngineLines, setEngineText } from './columnstore.ts';
import { pruneSummary } from './retention.ts';
import { storageLines, unopenedLines } from './storage.ts';

/** What a backup would do: nodes, then phases with those that make writers wait marked. */
export function backupPlanText({ plan }: ResultOf<'backup-plan'>, style: Style): readonly string[] {
  const total = plan.nodes.reduce((sum, node) => sum + node.dataBytes, 0);
  return sections([
    [`A backup of cluster ${style.paint('bold', plan.cluster)} would read ${formatBytes(total)} on ${count(plan.nodes.length, 'node')}:`],
    table(
      [
        { title: 'node' },
        { title: 'roles' },
        { title: 'follows' },
        { title: 'data', align: 'right' },
        { title: 'capture' },
        { title: 'free', align: 'right' },
        { title: 'repository', shrink: true },
      ],
      plan.nodes.map((node) => [
        node.node,
        node.roles.join(', '),
        node.source,
        formatBytes(node.dataBytes),
        strategiesText(node),
        formatBytes(node.freeBytes),
        node.repository,
      ]),
      style,
    ),
    plannedEngineLines(plan, style),
    captureLines(plan),
    plan.parent === undefined
      ? []
      : [
          `Only what is new or has changed since set ${plan.parent} is stored. What a node cannot use of it is stored in full, and said so.`,
        ],
    storageLines(plan.storage),
    table([{ title: 'phase' }, { title: 'nodes' }, { title: 'writers' }, { title: 'bound', shrink: true }], phaseRows(plan, style), style),
    [
      `Writers wait at most ${formatDuration(plan.lockTimeoutMs)} for each attempt at the locks, and ${formatDuration(plan.maxBlockMs)} in all.`,
      'Nothing was touched.',
    ],
    plan.warnings.map((warning) => `${style.paint('yellow', 'warning:')} ${warning}`),
  ]);
}

/** Each strategy of a node once. */
const strategiesText = ({ captures }: BackupNode): string => [...new Set(captures.map(({ strategy }) => strategy))].join(', ');

/** Why images are taken in their way: one line for all that share strategy and reason. */
function captureLines({ nodes }: BackupPlan): string[] {
  const lines = new Map<string, string[]>();
  for (const { node, captures } of nodes) {
    for (const { storage, strategy, reason } of captures) {
      const why = `${strategy}: ${reason}.`;
      lines.set(why, [...(lines.get(why) ?? []), `${storage} of ${node}`]);
    }
  }
  return [...lines].map(([why, whose]) => `Capture of ${whose.join(', ')} by ${why}`);
}

const phaseRows = (plan: BackupPlan, style: Style): string[][] =>
  plan.phases.map((phase) => [
    phase.phase,
    phase.nodes.length === plan.nodes.length ? 'all' : phase.nodes.join(', '),
    phase.blocksWriters ? style.paint('yellow', 'wait') : 'run',
    phase.bound,
  ]);

/** How a backup went. */
export function backupText({ report }: ResultOf<'backup'>, style: Style): readonly string[] {
  const { set } = report;
  const good = `${style.paint('green', 'Set')} ${style.paint('bold', set.setId)} ${style.paint('green', 'is good')}`;
  return sections([
    [`${good}: cluster ${set.cluster}, ${count(set.members.length, 'node')}.`],
    setFacts(set, report.elapsedMs, style),
    memberTable(set.members, style),
    ...phaseTables(set, style),
    engineResumeLines(report, style),
    report.pruned === undefined ? [] : pruneSummary(report.pruned),
  ]);
}

function setFacts(set: SetManifest, elapsedMs: number | undefined, style: Style): readonly string[] {
  const data = sum(set.members, 'dataBytes');
  const stored = sum(set.members, 'storedBytes');
  return pairs(
    [
      ['operation', set.operationId],
      ['cut', formatTime(set.cutAt)],
      ['data', formatBytes(data)],
      ['stored', `${formatBytes(stored)}${data > 0 ? ` (${formatShare(stored, data)})` : ''}`],
      ['increment of', set.parent ?? ''],
      ['uses', usesText(set)],
      ['writers waited', `${formatDuration(Math.max(...set.members.map((member) => member.blockedMs)))} at most`],
      ['columnstore', setEngineText(set)],
      ['client waited', probeText(set)],
      ['hold skew', formatDuration(set.holdSkewMs)],
      [
        'took',
        elapsedMs === undefined ? '' : `${formatDuration(elapsedMs)}${elapsedMs > 0 ? ` (${formatRate((data * 1000) / elapsedMs)})` : ''}`,
      ],
    ],
    style,
  );
}

/** What an increment needs besides its own files. */
function usesText({ members, uses }: SetManifest): string {
  if (uses.length === 0) return '';
  const bytes = members.reduce((total, { borrowedBytes = 0 }) => total + borrowedBytes, 0);
  return `${formatBytes(bytes)} stored in ${uses.join(', ')}`;
}

/** What the probes felt. */
function probeText({ members }: SetManifest): string {
  const felt = members.flatMap(({ node, probe }) => (probe === undefined ? [] : [{ node, ...probe }]));
  const [longest] = felt.toSorted((a, b) => b.longestMs - a.longestMs);
  return longest === undefined ? '' : `${formatDuration(longest.longestMs)} for a write on ${longest.node}`;
}

const sum = (members: readonly SetMember[], field: 'dataBytes' | 'storedBytes'): number =>
  members.reduce((total, member) => total + member[field], 0);

function memberTable(members: readonly SetMember[], style: Style): readonly string[] {
  return table(
    [
      { title: 'node' },
      { title: 'roles' },
      { title: 'follows' },
      { title: 'data', align: 'right' },
      { title: 'stored', align: 'right' },
      { title: 'block', align: 'right' },
      { title: 'dbroots' },
      { title: 'proven tables', align: 'right' },
      { title: 'position', shrink: true },
    ],
    members.map((member) => [
      member.node,
      member.roles.join(', '),
      member.source,
      formatBytes(member.dataBytes),
      formatBytes(member.storedBytes),
      formatDuration(member.blockedMs),
      numbersText(member.dbroots),
      String(member.provenTables),
      member.gtidBinlogPos || member.gtidSlavePos,
    ]),
    style,
  );
}

const STATE_COLOURS = { good: 'green', incomplete: 'yellow', failed: 'red' } as const;

/** The sets, newest first as they come; reasons only where something failed. */
export function setsText({ sets }: ResultOf<'sets'>, style: Style): readonly string[] {
  if (sets.length === 0)
    return ['No sets. Make one with `stillpoint backup create`; `stillpoint backup list --rescan` looks into the repositories.'];
  const row = (set: SetSummary): string[] => [
    set.setId || set.operationId,
    style.paint(STATE_COLOURS[set.state], set.state),
    [set.isProtected ? 'protected' : '', set.parent ? 'increment' : ''].filter((word) => word !== '').join(', '),
    formatTime(set.cutAt),
    set.nodes.join(', '),
    set.state === 'failed' ? '' : formatBytes(set.dataBytes),
    set.state === 'failed' ? '' : formatBytes(set.storedBytes),
    set.state === 'failed' ? '' : formatDuration(set.blockedMs),
    set.reason,
  ];
  return table(
    [
      { title: 'set' },
      { title: 'state' },
      { title: '' },
      { title: 'cut' },
      { title: 'nodes' },
      { title: 'data', align: 'right' },
      { title: 'stored', align: 'right' },
      { title: 'block', align: 'right' },
      { title: 'reason', shrink: true },
    ],
    sets.map(row),
    style,
  );
}

/** One set: the commit, then every part that could be read. */
export function setDetailText({ detail }: ResultOf<'set-detail'>, style: Style): readonly string[] {
  const { set, parts } = detail;
  return sections([
    [
      `Set ${style.paint('bold', set.setId)} of cluster ${set.cluster}, written by version ${set.writtenBy}${detail.isProtected ? '; protected' : ''}`,
    ],
    setFacts(set, undefined, style),
    memberTable(set.members, style),
    ...phaseTables(set, style),
    ...parts.flatMap(({ node, part, error }) => {
      if (part !== undefined) return partSections(part, style);
      return [
        [`${style.paint('bold', node)}: ${style.paint('red', error === undefined ? 'not readable' : `${error.code}: ${error.message}`)}`],
      ];
    }),
  ]);
}

function partSections(part: PartManifest, style: Style): readonly (readonly string[])[] {
  const { mariadb } = part;
  return [
    [
      `${style.paint('bold', part.node)} on ${part.hostname}`,
      ...pairs(
        [
          ['server', mariadb === undefined ? '' : `${mariadb.version}, server id ${mariadb.serverId}, ${mariadb.datadir}`],
          ['binary log', mariadb?.position.logBin ? `${mariadb.position.file}:${mariadb.position.offset}` : ''],
          ['checksums', part.checksums.length === 0 ? '' : count(part.checksums.length, 'table')],
          ['configuration', part.configuration.length === 0 ? '' : count(part.configuration.length, 'file')],
        ],
        style,
      ),
    ],
    ...partEngineSections(part, style),
    table(
      [{ title: 'file' }, { title: 'stored', align: 'right' }, { title: 'sha256' }],
      part.shards.map((shard) => [shard.name, formatBytes(shard.storedBytes), shard.sha256]),
      style,
    ),
    table(
      [{ title: 'file of another set' }, { title: 'set' }, { title: 'stored', align: 'right' }, { title: 'sha256' }],
      borrowedOf(part).map((shard) => [shard.name, shard.set, formatBytes(shard.storedBytes), shard.sha256]),
      style,
    ),
    table(
      [{ title: 'without checksum' }, { title: 'why', shrink: true }],
      part.unproven.map(({ database, table: name, reason }) => [`${database}.${name}`, reason]),
      style,
    ),
  ];
}

/** What a verification found. */
export function verifyText({ report }: ResultOf<'verify'>, style: Style): readonly string[] {
  const bytes = report.nodes.reduce((total, node) => total + node.bytes, 0);
  const head = report.ok
    ? `${style.paint('green', 'Sound')}: every byte of set ${report.setId} is as it was written (${formatBytes(bytes)}).`
    : `${style.paint('red', 'Damaged')}: set ${report.setId} cannot be relied on.`;
  return sections([
    [head],
    table(
      [{ title: 'node' }, { title: 'read', align: 'right' }, { title: 'result' }],
      report.nodes
        .toSorted(byName)
        .map(({ node, bytes: read, problems }) => [
          node,
          formatBytes(read),
          problems.length === 0 ? style.paint('green', 'sound') : style.paint('red', count(problems.length, 'problem')),
        ]),
      style,
    ),
    report.nodes.flatMap(({ node, problems }) => problems.map((problem) => `  ${node}: ${problem}`)),
    unopenedLines(report.nodes, style),
  ]);
}

const byName = (a: { readonly node: string }, b: { readonly node: string }): number => a.node.localeCompare(b.node);

/** What a deletion gave back. */
export const deleteText = ({ report }: ResultOf<'delete'>): readonly string[] => [
  `Set ${report.setId} is deleted; ${formatBytes(report.freedBytes)} freed.`,
];
