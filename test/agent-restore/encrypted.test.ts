import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { stageTask } from '../../packages/agent/src/restore/index.ts';
import { loadState } from '../../packages/agent/src/restore/state.ts';
import { type AgeKey, ageKey } from '../harness/age-key.ts';
import { loadShop, mark } from '../harness/data.ts';
import { agentOf, type Rig, stageSpec, startRig, type TakenPart, takePart, taskOf } from './rig.ts';

let rig: Rig;
let key: AgeKey;
let part: TakenPart;
let image: string;
beforeAll(async () => {
  rig = await startRig();
  key = ageKey(rig.home);
  const etc = join(rig.home, 'etc');
  mkdirSync(etc);
  writeFileSync(join(etc, 'tuning.cnf'), '[mariadbd]\n');
  await loadShop(rig.server, 4);
  await mark(rig.server, 'before');
  part = await takePart(rig, [join(etc, 'tuning.cnf')], key.recipient);
  image = join(part.directory, 'mariadb.full.mbstream.zst.age');
});
afterAll(() => rig.server.remove());

const stageWith = (identityFile: string | undefined, operationId: string) => {
  const decryption = identityFile === undefined ? {} : { decryption: { identityFile } };
  const configuration = [join(rig.home, 'etc')];
  const agent = agentOf({ ...agentConfigSchema.parse({ ...rig.config, stopGrace: '1s', configuration, ...decryption }) });
  return stageTask.run(agent, stageSpec(part, { restoreConfiguration: true, ownPartSha256: part.sha256 }), taskOf(operationId));
};

async function nothingIsLeft(operationId: string): Promise<void> {
  expect(readdirSync(dirname(rig.server.datadir)).filter((name) => name.startsWith('.stillpoint'))).toEqual([]);
  expect(await loadState(rig.config.stateDir, operationId)).toBeUndefined();
}

test('what age has encrypted is not staged without the right identity, and nothing is begun', async () => {
  const where = `The part of db1 of set ${part.part.setId} in ${rig.config.repository} is encrypted for ${key.recipient}`;
  await expect(stageWith(undefined, 'restore-1')).rejects.toMatchObject({
    code: 'KEY_MISSING',
    message: `${where}, and the configuration of this agent names no identity`,
  });
  const stranger = ageKey(rig.home, 'stranger');
  await expect(stageWith(stranger.file, 'restore-1')).rejects.toMatchObject({
    code: 'KEY_MISSING',
    message: `${where}, and this agent has identities of ${stranger.recipient} only`,
  });
  chmodSync(stranger.file, 0o644);
  await expect(stageWith(stranger.file, 'restore-1')).rejects.toMatchObject({ code: 'CONFIG_FILE_UNREADABLE' });
  await nothingIsLeft('restore-1');
});

test.each([
  ['header', 40, 'cannot be opened, though part.json names a recipient of ours'],
  ['content', 200_000, 'does not hold the bytes that were written'],
])('a changed byte in the %s of a file is told as damage', async (_, at, message) => {
  const good = readFileSync(image);
  const bad = Buffer.from(good);
  bad[at] = (bad[at] ?? 0) ^ 1;
  writeFileSync(image, bad);
  await expect(stageWith(key.file, 'restore-2')).rejects.toMatchObject({ code: 'PART_CORRUPT', message: expect.stringContaining(message) });
  writeFileSync(image, good);
  await nothingIsLeft('restore-2');
});

test('with it, data and configuration are staged and proven', async () => {
  const { result } = await stageWith(key.file, 'restore-3');
  if (result?.case !== 'stage') throw new Error('no result');
  expect(result.value?.tablesEqual).toBeGreaterThan(3);
  const state = await loadState(rig.config.stateDir, 'restore-3');
  expect(existsSync(join(state?.trees[0]?.stage ?? '', 'ibdata1'))).toBe(true);
  expect(state?.configuration.map(({ path, copy }) => [path, readFileSync(copy, 'utf8')])).toEqual([
    [join(rig.home, 'etc/tuning.cnf'), '[mariadbd]\n'],
  ]);
});
