import { expect, it } from 'vitest';
import { isInPrivateTmp, isPrivate } from './private-tmp.ts';

const MOUNTS = `25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
301 25 8:1 /tmp/systemd-private-4f1c-stillpoint-agent.service-Xq3/tmp /tmp rw,relatime - ext4 /dev/sda1 rw
302 25 8:1 /srv/tmp /srv/tmp rw,relatime - ext4 /dev/sda1 rw
`;

it('tells a /tmp of the unit alone from one that is everybody`s', () => {
  expect(isPrivate(MOUNTS, '/tmp/columnstore_tmp_files/rdwrscratch')).toBe(true);
  expect(isPrivate(MOUNTS, '/tmp')).toBe(true);
  expect(isPrivate(MOUNTS, '/tmpfs/scratch')).toBe(false);
  expect(isPrivate(MOUNTS, '/srv/tmp/scratch')).toBe(false);
  expect(isPrivate('', '/tmp')).toBe(false);
});

it('looks at the mounts of this process', async () => {
  expect(await isInPrivateTmp('/nowhere/at/all')).toBe(false);
});
