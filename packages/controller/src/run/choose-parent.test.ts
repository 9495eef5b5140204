import { expect, it } from 'vitest';
import type { SetState, SetSummary } from '../api.ts';
import { chooseParent } from './choose-parent.ts';

const summary = (setId: string, state: SetState): SetSummary => ({
  ...{ setId, state, operationId: 'backup-1', cutAt: '2026-11-21T09:15:00.000Z', nodes: ['db1'] },
  ...{ storedBytes: 1, dataBytes: 1, blockedMs: 1, reason: state === 'good' ? '' : 'it lost a part', isProtected: false },
});
const catalog = (...sets: SetSummary[]) => ({
  list: () => sets,
  find: (setId: string) => {
    const found = sets.find((set) => set.setId === setId);
    return found === undefined ? undefined : { summary: found, set: undefined };
  },
});
const SETS = catalog(summary('c', 'incomplete'), summary('b', 'good'), summary('a', 'good'));

it('a full set has no parent', () => {
  expect(chooseParent(SETS, {})).toEqual({ parent: undefined, warnings: [] });
});

it('the newest good set is the parent unless another good one is named', () => {
  expect(chooseParent(SETS, { incremental: {} })).toEqual({ parent: 'b', warnings: [] });
  expect(chooseParent(SETS, { incremental: { parent: 'latest' } })).toEqual({ parent: 'b', warnings: [] });
  expect(chooseParent(SETS, { incremental: { parent: 'a' } })).toEqual({ parent: 'a', warnings: [] });
});

it('without a good set a full one is made, and said so; a named one that is not good is refused', () => {
  const warnings = ['there is no good set to make an increment of: this one is full'];
  expect(chooseParent(catalog(summary('c', 'incomplete')), { incremental: {} })).toEqual({ parent: undefined, warnings });
  expect(() => chooseParent(SETS, { incremental: { parent: 'c' } })).toThrow('set c is incomplete: it lost a part');
  expect(() => chooseParent(SETS, { incremental: { parent: 'x' } })).toThrow('the catalog knows no set x');
});
