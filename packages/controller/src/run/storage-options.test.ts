import { IoClass } from '@stillpoint/shared/proto';
import { expect, it } from 'vitest';
import { SETTINGS } from '../../../../test/controller/builders.ts';
import { storageOf } from '../plan/storage.ts';
import { storageOptions } from './storage-options.ts';

it('tells agents what the configuration says', () => {
  expect(storageOptions(storageOf(SETTINGS))).toEqual({
    ...{ compressionLevel: 3, uncompressed: false, recipients: [], throttle: 0n },
    priority: { nice: 0, ioClass: IoClass.UNSPECIFIED, ioLevel: 0 },
  });
  const all = {
    compressionLevel: 'none',
    encryption: { recipients: ['age1x'] },
    throttle: 1024,
    nice: 7,
    ionice: 'best-effort:6',
  } as const;
  expect(storageOptions(storageOf({ ...SETTINGS, ...all, encryption: { recipients: ['age1x'] } }))).toEqual({
    ...{ compressionLevel: 0, uncompressed: true, recipients: ['age1x'], throttle: 1024n },
    priority: { nice: 7, ioClass: IoClass.BEST_EFFORT, ioLevel: 6 },
  });
  expect(storageOptions(storageOf({ ...SETTINGS, ionice: 'idle' })).priority).toMatchObject({ ioClass: IoClass.IDLE });
});
