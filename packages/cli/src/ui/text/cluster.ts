import { formatDuration } from '@stillpoint/shared/time';
import { onOneLine } from '../foreign-text.ts';
import { type NodeView, nodeView, statusName } from '../node-view.ts';
import type { ResultOf } from '../result.ts';
import type { Style } from '../style.ts';
import { table } from '../table.ts';
import { count, formatBytes } from '../units.ts';
import { engineText } from './engine.ts';

/** The nodes of the cluster, one line each, and what deserves attention below. */
export function clusterText({ nodes }: ResultOf<'cluster'>, style: Style): readonly string[] {
  const views = nodes.map(nodeView);
  return [
    ...table(
      [
        { title: 'node' },
        { title: 'address' },
        { title: 'roles' },
        { title: 'server' },
        { title: 'data', align: 'right' },
        { title: 'repository free', align: 'right' },
        { title: 'position' },
        { title: 'state', shrink: true },
      ],
      views.map((view) => nodeRow(view, style)),
      style,
    ),
    ...engineText(views, style),
    ...remarkLines(views, style),
  ];
}

function nodeRow({ node, address, facts, error }: NodeView, style: Style): readonly string[] {
  if (facts === null) return [node, address, '', '', '', '', '', style.paint('red', error?.code ?? 'no answer')];
  const { mariadb, repository } = facts;
  return [
    node,
    address,
    facts.roles.join(', '),
    mariadb?.version ?? '',
    mariadb === null ? '' : formatBytes(Number(mariadb.datadirBytes)),
    repository === null ? '' : formatBytes(Number(repository.freeBytes)),
    mariadb?.position?.gtidBinlogPos || mariadb?.position?.gtidSlavePos || '',
    serverState(facts, style),
  ];
}

function serverState({ mariadb }: NonNullable<NodeView['facts']>, style: Style): string {
  if (mariadb === null) return 'no server';
  if (!mariadb.running) return style.paint('yellow', 'stopped');
  const broken = mariadb.sources.find((source) => !source.running);
  if (broken !== undefined) return style.paint('red', `replication stopped (${broken.host}:${broken.port})`);
  const [source] = mariadb.sources;
  if (source === undefined) return style.paint('green', 'running');
  const lag = source.lagMs === null ? '' : `, ${formatDuration(source.lagMs)} behind`;
  return style.paint('green', `follows ${source.host}:${source.port}${lag}`);
}

/** What deserves attention; what is true of several nodes is said once. */
function remarkLines(views: readonly NodeView[], style: Style): readonly string[] {
  const nodesOf = new Map<string, string[]>();
  for (const view of views) {
    for (const remark of remarks(view, style)) nodesOf.set(remark, [...(nodesOf.get(remark) ?? []), view.node]);
  }
  const lines = [...nodesOf].map(([remark, nodes]) => `  ${nodes.join(', ')}: ${remark}`);
  return lines.length === 0 ? [] : ['', ...lines];
}

function remarks({ node, address, facts, error }: NodeView, style: Style): readonly string[] {
  const claim = facts?.claim;
  const waiting = facts?.unfinishedRestore ?? '';
  return [
    // Node and address stand in the table already.
    ...(error === null ? [] : [`${style.paint('red', error.message.replace(`${node} (${address}): `, ''))}\n    hint: ${error.hint}`]),
    ...(claim ? [`claimed by ${claim.kind} ${claim.operationId} of ${claim.owner}`] : []),
    ...(waiting === '' ? [] : [`restore ${waiting} waits to be finished, rolled back or resumed (stillpoint restore)`]),
    ...(facts?.columnstore?.contradictions ?? []).map((contradiction) => style.paint('red', onOneLine(contradiction))),
    ...(facts?.columnstore?.missing ?? []).map((missing) => style.paint('red', onOneLine(missing))),
    ...(facts?.mariadb?.sources ?? []).filter(({ lastError }) => lastError !== '').map(({ lastError }) => `replication: ${lastError}`),
  ];
}

/** Every check with its mark; hints below those that are not in order. */
export function checksText({ purpose, checks }: ResultOf<'checks'>, style: Style): readonly string[] {
  const groups = [
    ...checks.nodes.map(({ node, results, error }) => ({ title: node, results, error })),
    { title: 'cluster', results: checks.cluster, error: undefined },
  ];
  const lines = groups.flatMap(({ title, results, error }) => {
    if (results.length === 0 && error === undefined) return [];
    const width = Math.max(0, ...results.map((result) => result.name.length));
    return [
      style.paint('bold', title),
      ...(error === undefined ? [] : marked('failed', `${error.code}: ${error.message}`, error.hint, style)),
      ...results.flatMap((check) => marked(statusName(check.status), `${check.name.padEnd(width)}  ${check.message}`, check.hint, style)),
    ];
  });
  const all = groups.flatMap((group) => group.results.map((check) => statusName(check.status)));
  const failed = all.filter((status) => status === 'failed').length + groups.filter((group) => group.error !== undefined).length;
  return [...lines, '', verdict(purpose, failed, all.filter((status) => status === 'warning').length, style)];
}

function verdict(purpose: string, failed: number, warnings: number, style: Style): string {
  const also = warnings === 0 ? '' : `, ${count(warnings, 'warning')}`;
  return failed === 0
    ? `${style.paint('green', `Ready for a ${purpose}`)}${also}.`
    : `${style.paint('red', `Not ready for a ${purpose}`)}: ${count(failed, 'check')} failed${also}.`;
}

/** A line with a mark for its status, and its hint below unless all is well. */
export function marked(status: 'ok' | 'warning' | 'failed', text: string, hint: string, style: Style): readonly string[] {
  const mark = {
    ok: style.paint('green', 'ok     '),
    warning: style.paint('yellow', 'warning'),
    failed: style.paint('red', 'failed '),
  }[status];
  const indented = text.replaceAll('\n', `\n${' '.repeat(11)}`);
  return [`  ${mark}  ${indented}`, ...(status === 'ok' || hint === '' ? [] : [`${' '.repeat(11)}${style.paint('dim', `hint: ${hint}`)}`])];
}
