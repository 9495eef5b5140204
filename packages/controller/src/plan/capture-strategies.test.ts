import { create } from '@bufbuild/protobuf';
import { StillpointError } from '@stillpoint/shared/errors';
import { NodeFactsSchema } from '@stillpoint/shared/proto';
import { describe, expect, it } from 'vitest';
import type { BackupSettings } from '../config/schema.ts';
import { capturesOf, type PlannedCapture } from './capture-strategies.ts';

const DBROOTS = [1, 2].map((number) => ({ number, path: `/data${number}`, bytes: 1 }));

/** Dbroot 1 can be cloned, dbroot 2 cannot. */
const planned = (setting: BackupSettings['capture'], known = DBROOTS): PlannedCapture[] => {
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

describe('of a server', () => {
  const OLD = 'mariadb-backup 10.11.6 copies everything after it has its lock; from 10.11.8 and 11.4.2 on it does not';
  const server = (setting: BackupSettings['capture'], gateObstacle: string): PlannedCapture | undefined =>
    capturesOf('db1', create(NodeFactsSchema, { mariadb: { gateObstacle } }), [], setting)[0];

  it('only the last stages lie under the lock where mariadb-backup can wait at the gate', () => {
    expect(server('auto', '')).toMatchObject({ storage: 'server', strategy: 'gate' });
  });

  it('else it is copied before, and under the lock what has changed since, and the reason says why', () => {
    const planned = server('auto', OLD);
    expect(planned).toMatchObject({ storage: 'server', strategy: 'increment' });
    expect(planned?.reason).toBe(
      `${OLD}: it is copied before, and under the lock what has changed since, for which mariadb-backup reads all of it again while writers wait`,
    );
  });

  it('a word for dbroots says nothing of it', () => {
    for (const setting of ['reflink', 'precopy'] as const)
      expect(['', OLD].map((obstacle) => server(setting, obstacle)?.strategy)).toEqual(['gate', 'increment']);
  });

  it.each(['increment', 'locked'] as const)('%s is what it is captured by when that is asked for, whatever it could', (setting) => {
    expect(['', OLD].map((obstacle) => server(setting, obstacle))).toEqual(
      Array.from({ length: 2 }, () => expect.objectContaining({ strategy: setting, reason: 'it was asked for' })),
    );
  });

  it('the gate is refused where it cannot be, with the reason', () => {
    expect(server('gate', '')?.strategy).toBe('gate');
    expect(() => server('gate', OLD)).toThrow(`db1: the server cannot be captured by gate: ${OLD}`);
  });
});

it.each(['gate', 'increment'] as const)('%s says nothing of dbroots', (setting) => {
  expect(strategies(planned(setting))).toEqual(['1 reflink', '2 precopy']);
});

it('a dbroot of which the agent tells nothing is not taken for one that can be cloned', () => {
  expect(strategies(planned('auto', []))).toEqual(['1 precopy', '2 precopy']);
});
