import type { CheckResult } from '@stillpoint/shared/proto';
import { ok, warning } from './check-results.ts';
import type { NodeView } from './topology.ts';

/** Whether an operation has claimed nodes: another one would be NODE_BUSY. */
export function operations(nodes: readonly NodeView[]): CheckResult {
  const told = byId(nodes, ({ facts }) => facts.claim?.operationId ?? '').map(([id, found]) => {
    const owner = found[0]?.facts.claim?.owner ?? '';
    return `${id} is in progress on ${names(found)}${owner === '' ? '' : ` (${owner})`}`;
  });
  return told.length === 0
    ? ok('cluster.operations', 'no operation is in progress')
    : warning('cluster.operations', told.join('; '), 'Wait for it to end; a dead controller loses its claim within half a minute.');
}

/** Whether a restore still has to be decided about. */
export function restores(nodes: readonly NodeView[]): CheckResult {
  const found = byId(nodes, ({ facts }) => facts.unfinishedRestore);
  const hint = found.map(
    ([id]) => `\`stillpoint restore resume ${id}\`, \`restore rollback ${id} --yes\` or \`restore finish ${id} --yes\``,
  );
  return found.length === 0
    ? ok('cluster.restores', 'no restore is unfinished')
    : warning(
        'cluster.restores',
        found.map(([id, views]) => `${id} was neither finished nor rolled back on ${names(views)}`).join('; '),
        `Until it is ended another restore is refused, and a backup too unless its new data is in place: ${hint.join('; ')}.`,
      );
}

const byId = (nodes: readonly NodeView[], idOf: (view: NodeView) => string): [string, NodeView[]][] =>
  [...Map.groupBy(nodes, idOf)].filter(([id]) => id !== '');

const names = (views: readonly NodeView[]): string => views.map(({ node }) => node).join(', ');
