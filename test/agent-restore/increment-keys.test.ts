import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { partDirectory } from '@stillpoint/shared/manifest';
import { RollbackTaskSchema } from '@stillpoint/shared/proto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readKeyring } from '../../packages/agent/src/encryption/index.ts';
import { openRepository, verifyPart } from '../../packages/agent/src/repository/index.ts';
import { rollbackTask, stageTask } from '../../packages/agent/src/restore/index.ts';
import { type AgeKey, ageKey } from '../harness/age-key.ts';
import { type EngineRig, engineRig, engineStage, fillDbroot, picture } from './engine-rig.ts';
import { emptied, type TakenIncrement, takeIncrement } from './increment-rig.ts';
import { agentOf, taskOf } from './rig.ts';

const DBROOTS = [[1], [2]] as const;
const [FIRST, SECOND, THIRD] = ['20261121-090000-aaaaaaaa', '20261121-100000-bbbbbbbb', '20261121-110000-cccccccc'] as const;

let rig: EngineRig;
let target: EngineRig;
let restores = 0;
let before: AgeKey;
let after: AgeKey;
beforeEach(async () => {
  const plain = engineRig(2, DBROOTS);
  [before, after] = [ageKey(plain.home, 'before'), ageKey(plain.home, 'after')];
  rig = withKeys(plain, before, after);
  target = emptied(rig, engineRig(2, DBROOTS), [2]);
  fillDbroot(rig.dbroot(2), 2, 'first');
  // Stamps that are too fresh prove nothing, and these are made now.
  await new Promise((resolve) => setTimeout(resolve, 100));
});
afterEach(() => {
  for (const each of [rig, target]) rmSync(each.home, { recursive: true });
});

/** The same node with these identities, in one file. */
function withKeys(node: EngineRig, ...keys: readonly AgeKey[]): EngineRig {
  const identityFile = join(node.home, `identities-${keys.map(({ recipient }) => recipient.slice(-4)).join('-')}`);
  writeFileSync(
    identityFile,
    execFileSync(
      'cat',
      keys.map(({ file }) => file),
    ),
    { mode: 0o600 },
  );
  const config = { ...node.config, decryption: { identityFile } };
  return { ...node, config, agent: agentOf(config) };
}

const take = (setId: string, parentSet: string, ...keys: readonly AgeKey[]): Promise<TakenIncrement> =>
  takeIncrement(rig, 2, { setId, parentSet, recipients: keys.map(({ recipient }) => recipient) });

/** What the stage of a restore of a part holds, on a node with these identities. */
async function restored(taken: TakenIncrement, ...keys: readonly AgeKey[]): Promise<Record<string, string>> {
  const { agent } = withKeys(target, ...keys);
  const operation = `restore-${++restores}`;
  await stageTask.run(agent, { ...engineStage(taken), setId: taken.part.setId }, taskOf(operation));
  const found = picture(join(target.data, `.stillpoint-stage-${operation}-dbroot2`));
  await rollbackTask.run(agent, create(RollbackTaskSchema), taskOf(operation));
  return found;
}

const verified = ({ part }: TakenIncrement, ...keys: readonly AgeKey[]) =>
  verifyPart(openRepository(rig.config), part.setId, 'pm2', taskOf('v'), () =>
    readKeyring(withKeys(rig, ...keys).config.decryption?.identityFile),
  );

test('a set for another key leans on none that is for the key before: each opens with its own, and increments go on from there', async () => {
  const full = await take(FIRST, '', before);
  const changed = await take(SECOND, FIRST, after);
  const told = `dbroot 2 is taken in full: set ${FIRST} is encrypted for ${before.recipient}, and this one for ${after.recipient}`;
  expect(changed.notes).toEqual([told]);
  expect(changed.dbroot.borrowed).toBeUndefined();
  writeFileSync(join(rig.dbroot(2), '001.dir', 'FILE1.cdf'), 'written since');
  const next = await take(THIRD, SECOND, after);
  expect(next.dbroot.borrowed?.files).toBeGreaterThan(0);
  const all = picture(rig.dbroot(2));
  for (const keys of [[after], [before, after]]) {
    expect(await restored(next, ...keys)).toEqual(all);
    expect(await verified(next, ...keys)).toMatchObject({ problems: [], unopened: '' });
  }
  expect(Object.keys(await restored(full, before))).toEqual(Object.keys(all));
  await expect(restored(next, before)).rejects.toMatchObject({
    code: 'KEY_MISSING',
    message: `The part of pm2 of set ${THIRD} in ${rig.config.repository} is encrypted for ${after.recipient}, and this agent has identities of ${before.recipient} only`,
  });
  expect(await verified(next, before)).toMatchObject({ problems: [], unopened: expect.stringContaining(before.recipient) });
});

test('another key beside the one before makes a full set as well: whoever has one of its keys can open all of it', async () => {
  await take(FIRST, '', before);
  const both = await take(SECOND, FIRST, before, after);
  expect(both.notes).toEqual([expect.stringContaining('is taken in full')]);
  // In another order they are the same.
  const next = await take(THIRD, SECOND, after, before);
  expect(next.notes).toEqual([]);
  expect(next.dbroot.borrowed?.files).toBeGreaterThan(0);
  for (const key of [before, after]) expect(await restored(next, key)).toEqual(picture(rig.dbroot(2)));
});

test('a file of another set that is for others all the same is told with that set, by restore and verify', async () => {
  const full = await take(FIRST, '', before);
  const next = await take(SECOND, FIRST, before);
  const [shard = ''] = full.dbroot.shards;
  const path = join(partDirectory(rig.config.repository, rig.config.cluster, FIRST, 'pm2'), shard);
  const plain = join(rig.home, 'plain');
  execFileSync('age', ['-d', '-i', before.file, '-o', plain, path]);
  execFileSync('age', ['-r', after.recipient, '-o', path, plain]);
  await expect(restored(next, before)).rejects.toMatchObject({
    code: 'KEY_MISSING',
    message: `${shard} of set ${FIRST} in ${rig.config.repository}, which set ${SECOND} uses, is encrypted for others than the identities of this agent (${before.recipient})`,
    hint: expect.stringContaining('part.json of pm2 in that set says for whom'),
  });
  const { problems } = await verified(next, before);
  expect(problems).toEqual([expect.stringContaining(`${shard} of set ${FIRST} is encrypted for others`)]);
});
