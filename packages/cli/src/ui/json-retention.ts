import type { CleanReport, ProtectReport, PrunedSet, PruneReport } from '@stillpoint/controller';
import type { JsonLine } from './json-lines.ts';

type Silent = PruneReport['silent'];

const silentView = (silent: Silent) => silent.map(({ node, error: { code, message, hint } }) => ({ node, code, message, hint }));

const setLine = ({ setId, cutAt, state, outcome, reasons, bytes, problems }: PrunedSet): JsonLine => ({
  type: 'pruned-set',
  ...{ setId, cutAt, state, outcome, reasons, bytes, problems },
});

/** One line a set, and one for all of it. */
export const pruneLines = ({ operationId, dryRun, sets, silent }: PruneReport): readonly JsonLine[] => [
  ...sets.map(setLine),
  { type: 'prune', ...pruneView({ operationId, dryRun, sets, silent }) },
];

/** How a retention went, without the sets one by one. */
export const pruneView = ({ operationId, dryRun, sets, silent }: PruneReport) => ({
  ...{ operationId, dryRun },
  kept: sets.filter(({ outcome }) => outcome === 'kept').map(({ setId }) => setId),
  removed: sets.filter(({ outcome }) => outcome === 'removed').map(({ setId }) => setId),
  begun: sets.filter(({ outcome }) => outcome === 'begun').map(({ setId }) => setId),
  freedBytes: sets.reduce((sum, { outcome, bytes }) => (outcome === 'kept' ? sum : sum + bytes), 0),
  silent: silentView(silent),
});

/** A set that is protected, or is no longer. */
export const protectionLine = ({ setId, protect, nodes, silent }: ProtectReport): JsonLine => ({
  type: 'protection',
  ...{ setId, protected: protect, nodes },
  silent: silentView(silent),
});

/** One line a leftover, and one for all of it. */
export const cleanLines = ({ operationId, dryRun, leftovers, deletions, lost, silent }: CleanReport): readonly JsonLine[] => [
  ...leftovers.map(({ node, kind, path, bytes, changedAt, reason, staysBecause, removed }) => ({
    type: 'leftover',
    ...{ node, kind, path, bytes, changedAt, reason, staysBecause, removed },
  })),
  ...deletions.map(setLine),
  {
    type: 'clean',
    ...{ operationId, dryRun, lost },
    freedBytes: [...leftovers.filter(({ removed }) => removed), ...deletions].reduce((sum, { bytes }) => sum + bytes, 0),
    silent: silentView(silent),
  },
];
