import type { PlannedNode, PlanProblem } from './restore.ts';

/** The proof of an engine is that its tables are read. Pure. */
export function noReader(nodes: readonly PlannedNode[]): PlanProblem[] {
  const modules = nodes.filter(({ engine }) => engine !== undefined);
  if (modules.length === 0 || modules.some(({ image }) => image !== '')) return [];
  const message = `none of ${modules.map(({ node }) => node).join(', ')} has a SQL server to read ColumnStore tables through`;
  return [
    {
      node: '',
      message,
      hint: 'SQL servers apart from the modules that hold the data are not supported: restore by hand, see docs/restore-by-hand.md.',
    },
  ];
}

/**
 * What one file system may have to hold besides its live data, where a node's dbroots and its data directory may lie on the same: nobody knows that
 * before they are staged. A sentence for each node. Pure.
 */
export const spaceTogether = (nodes: readonly PlannedNode[]): string[] =>
  nodes.flatMap(({ datadir, dbroots, freeBytes, image, needBytes, node }) => {
    const server = image === '' || datadir === '' ? [] : [{ what: 'its data directory', needBytes, freeBytes }];
    const places = [...server, ...dbroots.map((dbroot) => ({ ...dbroot, what: `dbroot ${dbroot.number}` }))];
    const need = places.reduce((sum, place) => sum + place.needBytes, 0);
    const least = Math.min(...places.map((place) => place.freeBytes ?? Number.POSITIVE_INFINITY));
    if (dbroots.length === 0 || places.length === 1 || need <= least) return [];
    const all = places.map(({ what }) => what).join(', ');
    return [`${node}: ${all} need ${need} bytes together: too many if they share the file system with ${least} bytes free`];
  });
