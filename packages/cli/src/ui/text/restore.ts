import type { PlannedNode, RestorePlan, RestoreReport } from '@stillpoint/controller';
import { formatDuration } from '@stillpoint/shared/time';
import type { ResultOf } from '../result.ts';
import type { Style } from '../style.ts';
import { pairs, sections, table } from '../table.ts';
import { count, formatBytes, formatTime } from '../units.ts';
import { engineFact, numbersText, plannedDbrootTable } from './columnstore.ts';

/** What a restore would do, whether it can, and the command that does it. */
export function restorePlanText({ plan, next }: ResultOf<'restore-plan'>, style: Style): readonly string[] {
  return sections([
    [`Plan ${style.paint('bold', plan.id)}: cluster ${plan.cluster} back to set ${style.paint('bold', plan.setId)}`],
    pairs(
      [
        ['cut', formatTime(plan.cutAt)],
        ['replication', plan.replication === 'start' ? 'started afterwards' : 'SQL printed afterwards, for you to run'],
        ['configuration', configurationFact(plan)],
        ['columnstore', engineFact(plan)],
      ],
      style,
    ),
    imageTable(plan, style),
    replacedTable(plan, style),
    plannedDbrootTable(plan, style),
    [...problemLines(plan, style), ...plan.warnings.map((warning) => `${style.paint('yellow', 'warning:')} ${warning}`)],
    ...closing(plan, next, style),
  ]);
}

function configurationFact({ nodes }: RestorePlan): string {
  const restored = nodes.filter((node) => node.restoreConfiguration).length;
  if (restored === 0) return 'left as it is';
  return `put back on ${restored === nodes.length ? 'every node' : count(restored, 'node')}, what is found is kept aside`;
}

/** Where each node's data comes from and how it goes on. */
function imageTable(plan: RestorePlan, style: Style): readonly string[] {
  return table(
    [
      { title: 'node' },
      { title: 'roles' },
      { title: 'image' },
      { title: 'stored', align: 'right' },
      { title: 'version of set' },
      { title: 'installed' },
      { title: 'then follows' },
      { title: 'from position', shrink: true },
    ],
    plan.nodes.map((node) => [
      node.node,
      node.roles.join(', '),
      imageText(node),
      node.image === '' ? '' : formatBytes(node.storedBytes),
      node.setVersion,
      node.installedVersion,
      node.replicateFrom === undefined ? '' : `${node.replicateFrom.node} (${node.replicateFrom.host}:${node.replicateFrom.port})`,
      node.gtidPosition,
    ]),
    style,
  );
}

const imageText = ({ image, node }: PlannedNode): string => {
  if (image === '') return 'no server';
  return image === node ? 'its own part' : `part of ${image}`;
};

/** What is replaced where, and whether it fits. */
function replacedTable(plan: RestorePlan, style: Style): readonly string[] {
  const space = ({ needBytes, freeBytes }: PlannedNode): string =>
    freeBytes >= needBytes ? formatBytes(freeBytes) : style.paint('red', formatBytes(freeBytes));
  return table(
    [
      { title: 'node' },
      { title: 'into' },
      { title: 'needs', align: 'right' },
      { title: 'free', align: 'right' },
      { title: 'kept aside', align: 'right' },
      { title: 'server now' },
      { title: 'engine now' },
    ],
    plan.nodes.map((node) => [
      node.node,
      ...(node.image === ''
        ? ['', '', '', '', '']
        : [
            node.datadir,
            formatBytes(node.needBytes),
            space(node),
            node.replacesBytes === 0 ? 'nothing' : formatBytes(node.replacesBytes),
            node.serverRunning ? style.paint('yellow', 'running') : 'stopped',
          ]),
      engineNow(node, style),
    ]),
    style,
  );
}

const engineNow = ({ engine }: PlannedNode, style: Style): string => {
  if (engine === undefined) return '';
  return engine.running.length > 0 ? style.paint('yellow', 'running') : 'stopped';
};

function problemLines(plan: RestorePlan, style: Style): readonly string[] {
  return plan.problems.flatMap(({ node, message, hint }) => [
    `${style.paint('red', 'problem:')} ${node === '' ? '' : `${node}: `}${message}`,
    ...(hint === '' ? [] : [`  hint: ${hint}`]),
  ]);
}

function closing(plan: RestorePlan, next: string, style: Style): readonly (readonly string[])[] {
  if (plan.problems.length > 0) return [['This plan cannot be carried out. Nothing was touched.']];
  return [['Nothing was touched. To carry it out:'], [`  ${style.paint('bold', next)}`]];
}

/** Unproven tables that are named for each node. */
const UNPROVEN_SHOWN = 5;

const HEADLINES: Readonly<Record<RestoreReport['state'], string>> = {
  running: 'is running',
  refused: 'was refused, and touched nothing',
  failed: 'failed',
  interrupted: 'was interrupted',
  switched: 'is in place',
  'rolled-back': 'was rolled back: the data that was there before is back',
  finished: 'is finished: the data that was there before is discarded',
};

/** How a restore (or going on, going back, finishing) went, and what is left to do. */
export function restoreText({ report, command }: ResultOf<'restore'>, style: Style): readonly string[] {
  const what = `Restore ${style.paint('bold', report.operationId)} of set ${report.setId}`;
  const freed = report.nodes.reduce((total, { freedBytes }) => total + freedBytes, 0);
  return sections([
    [`${what} ${style.paint('green', HEADLINES[report.state])} (${formatDuration(report.elapsedMs)}).`],
    reportTable(report, style),
    leftOutLines(report, style),
    freed === 0 ? [] : [`${formatBytes(freed)} freed.`],
    report.state === 'switched' ? report.nodes.flatMap(unprovenLines) : [],
    report.nodes.flatMap(({ locks, node }) => locks.map((lock) => `${style.paint('yellow', 'warning:')} ${node}: ${lock}`)),
    ...report.commands.map(({ node, sql }) => [`To be run on ${style.paint('bold', node)}:`, ...sql.map((statement) => `  ${statement}`)]),
    report.state === 'switched' ? nextSteps(report, command, style) : [],
  ]);
}

/** What is where on each node now. */
function reportTable({ state, nodes }: RestoreReport, style: Style): readonly string[] {
  if (state === 'finished' || (state === 'rolled-back' && nodes.every(({ kept }) => kept.length === 0))) return [];
  const inPlace = state === 'switched';
  return table(
    [
      { title: 'node' },
      { title: 'image' },
      { title: 'restored', align: 'right' },
      { title: 'tables equal', align: 'right' },
      { title: 'dbroots' },
      { title: 'read whole', align: 'right' },
      { title: 'position' },
      { title: state === 'rolled-back' ? 'restored data set aside' : 'kept', shrink: true },
    ],
    nodes.map(({ node, image, bytes, tablesEqual, dbroots, tablesRead, gtidPosition, kept }) => [
      node,
      ...(inPlace
        ? [
            image,
            formatBytes(bytes),
            String(tablesEqual),
            numbersText(dbroots),
            dbroots.length + tablesRead === 0 ? '' : count(tablesRead, 'table'),
            gtidPosition,
          ]
        : ['', '', '', '', '', '']),
      kept.join(', '),
    ]),
    style,
  );
}

/** What was not touched can do harm when it comes back by itself. */
function leftOutLines({ leftOut }: RestoreReport, style: Style): readonly string[] {
  if (leftOut.length === 0) return [];
  return [
    `${style.paint('yellow', 'Left as they are:')} ${leftOut.join(', ')}. Keep their servers stopped, and once they are back, repeat the command`,
    'without --without: until then they may replicate from data that is no longer theirs.',
  ];
}

/** Tables that nothing is proven of: the first few, as there can be hundreds. */
function unprovenLines({ node, tablesUnproven }: RestoreReport['nodes'][number]): readonly string[] {
  const more = tablesUnproven.length - UNPROVEN_SHOWN;
  return [
    ...tablesUnproven.slice(0, UNPROVEN_SHOWN).map((table) => `  ${node}: not compared: ${table}`),
    ...(more > 0 ? [`  ${node}: and ${count(more, 'more table')}; --output json names them all`] : []),
  ];
}

function nextSteps({ operationId }: RestoreReport, command: string, style: Style): readonly string[] {
  return [
    'What was there before is kept until you decide:',
    ...pairs(
      [
        ['go back', `${command} restore rollback ${operationId} --yes`],
        ['discard it', `${command} restore finish ${operationId} --yes`],
      ],
      style,
    ),
  ];
}

/** Restores, as they come. */
export function restoresText({ restores }: ResultOf<'restores'>, style: Style): readonly string[] {
  if (restores.length === 0) return ['No restores.'];
  return table(
    [
      { title: 'operation' },
      { title: 'state' },
      { title: 'set' },
      { title: 'started' },
      { title: 'plan' },
      { title: 'reason', shrink: true },
    ],
    restores.map((restore) => [
      restore.operationId,
      restore.state,
      restore.setId,
      formatTime(restore.startedAt),
      restore.planId,
      restore.reason,
    ]),
    style,
  );
}
