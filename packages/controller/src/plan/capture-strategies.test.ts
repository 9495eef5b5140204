import { create } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { NodeFactsSchema } from '@stillpoint/shared/proto';
import { expect, it } from 'vitest';
import { capturesOf, type PlannedCapture } from './capture-strategies.ts';

const DBROOTS = [1, 2].map((number) => ({ number, path: `/data${number}`, bytes: 1 }));

/** Dbroot 1 can be cloned, dbroot 2 cannot. */
const planned = (setting: 'auto' | 'reflink' | 'precopy' | 'locked', known = DBROOTS): PlannedCapture[] => {
  const dbroots = known.map(({ number, path }) => ({
    number,
    path,
    owned: true,
    reflinkObstacle: number === 1 ? '' : 'ext4 does not clone files',
  }));
  return capturesOf('pm1', create(NodeFactsSchema, { columnstore: { dbroots } }), DBROOTS, setting);
};
const strategies = (captures: readonly PlannedCapture[]): string[] => captures.map(({ dbroot, strategy }) => `${dbroot} ${strategy}`);

it('each dbroot is cloned where that can be, else copied before, and the reason says why it cannot be cloned', () => {
  const captures = planned('auto');
  expect(strategies(captures)).toEqual(['1 reflink', '2 precopy']);
  expect(captures.map(({ reason }) => reason)).toEqual([
    'its file system clones files',
    'ext4 does not clone files: they are copied before, and under the lock what has changed since',
  ]);
});

it.each(['precopy', 'locked'] as const)('all are captured by %s when it is asked for', (setting) => {
  expect(strategies(planned(setting))).toEqual([`1 ${setting}`, `2 ${setting}`]);
});

it('reflink is refused where it cannot be, with the reason', () => {
  expect(() => planned('reflink')).toThrow(StillpointError);
  expect(() => planned('reflink')).toThrow('pm1: dbroot 2 cannot be captured by reflink: ext4 does not clone files');
});

it('a dbroot of which the agent tells nothing is not taken for one that can be cloned', () => {
  expect(strategies(planned('auto', []))).toEqual(['1 precopy', '2 precopy']);
});
