import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { StageTask } from '@stillpoint/shared/proto';
import { FinishTaskSchema, RollbackTaskSchema, SwitchTaskSchema } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { openRepository } from '../../packages/agent/src/repository/index.ts';
import { finishTask, stageTask, unfinishedRestore } from '../../packages/agent/src/restore/index.ts';
import { rollbackTaskWith } from '../../packages/agent/src/restore/rollback.ts';
import { noSeams } from '../../packages/agent/src/restore/seams.ts';
import { switchTaskWith } from '../../packages/agent/src/restore/switch.ts';
import { createTickets, fetchShard, type Tickets } from '../../packages/agent/src/seed/index.ts';
import { type TestAuthority, testAuthority } from '../harness/certificates.ts';
import { type ServedAgent, serveAgent } from '../harness/served.ts';
import { type EnginePart, type EngineRig, engineRig, engineStage, fillDbroot, owner, picture, takeEnginePart } from './engine-rig.ts';
import { writePartManifest } from './parts.ts';
import { agentOf, taskOf } from './rig.ts';

/** pm2 owns two dbroots; in the set, the second of them was on pm3. */
const NOW = [[1], [2, 3]] as const;
const THEN = [[1], [2], [3]] as const;

let authority: TestAuthority;
let tickets: Tickets;
let served: ServedAgent;
let pm2: EngineRig;
let pm3: EngineRig;
let own: EnginePart;
let other: EnginePart;
let images: Record<number, Record<string, string>>;
let dbrm: string;

/** What a node keeps of the engine, but our own: the state of a restore, and the parts. */
const look = (rig: EngineRig): Record<string, string> => picture(rig.data, 'files');

beforeAll(async () => {
  authority = await testAuthority('shop');
  const before = engineRig(2, THEN);
  pm3 = engineRig(3, THEN);
  fillDbroot(before.dbroot(2), 2, 'cut');
  fillDbroot(pm3.dbroot(3), 3, 'cut');
  images = { 2: picture(before.dbroot(2)), 3: picture(pm3.dbroot(3)) };
  own = await takeEnginePart(before, [2]);
  other = await takeEnginePart(pm3, [3]);
  tickets = createTickets(systemClock);
  const seed = { repository: openRepository(pm3.config), tickets, node: 'pm3', brm: () => Promise.reject(new Error('no engine')) };
  served = await serveAgent(
    await authority.issue('agent', 'pm3'),
    { fetchShard: (request, { signal }) => fetchShard(seed, request, signal) },
    { node: 'pm3', allowedRoles: () => ['agent'] },
  );
  const rig = engineRig(2, NOW);
  const tls = await authority.issue('agent', 'pm2');
  const config = agentConfigSchema.parse({ ...rig.config, stopGrace: '10s', repository: before.config.repository, tls });
  pm2 = { ...rig, config, agent: agentOf(config) };
  dbrm = join(pm2.data, 'data1', 'systemFiles', 'dbrm');
});
afterAll(async () => {
  await served.server.close();
  authority.remove();
});

beforeEach(() => {
  for (const name of readdirSync(pm2.data)) if (name !== 'local') rmSync(join(pm2.data, name), { recursive: true });
  rmSync(join(pm2.config.stateDir, 'restore'), { recursive: true, force: true });
  fillDbroot(pm2.dbroot(2), 2, 'live');
  fillDbroot(pm2.dbroot(3), 3, 'live');
  mkdirSync(dbrm, { recursive: true });
  writeFileSync(join(dbrm, 'BRM_saves_em'), 'stale');
  const scratch = join(pm2.home, 'tmp', 'rdwrscratch');
  mkdirSync(scratch, { recursive: true });
  for (const name of ['BRM_saves_em', 'BRM_saves_journal', 'backup_1_BRM_saves_em']) writeFileSync(join(scratch, name), 'copy');
});

const spec = (ticket = tickets.grant('restore-1', own.part.setId, 60_000).ticket): StageTask => {
  const seed = { address: served.address, ticket };
  return engineStage(own, {
    dbroots: [
      { number: 3, node: 'pm3', partSha256: other.sha256, seed },
      { number: 2, node: 'pm2', partSha256: own.sha256 },
    ],
  });
};
const stage = (task: StageTask = spec(), context = taskOf('restore-1')) => stageTask.run(pm2.agent, task, context);
/** Other tests of this host may run engines that are no concern of these files. */
const seams = { ...noSeams, engine: { ...noSeams.engine, refuseRunning: () => Promise.resolve() } };
const doSwitch = () => switchTaskWith(seams).run(pm2.agent, create(SwitchTaskSchema), taskOf('restore-1'));
const rollback = () => rollbackTaskWith(seams).run(pm2.agent, create(RollbackTaskSchema), taskOf('restore-1'));
const finish = () => finishTask.run(pm2.agent, create(FinishTaskSchema), taskOf('restore-1'));
const ours = (): string[] => Object.keys(look(pm2)).filter((path) => path.includes('.stillpoint'));

describe('dbroots of a node without a server', () => {
  test('are staged beside, from here and from another node, and exchanged; the place of the copies is emptied', async () => {
    const before = look(pm2);
    const task = taskOf('restore-1');
    const staged = await stage(spec(), task);
    expect(staged.result).toMatchObject({ value: { path: join(pm2.data, '.stillpoint-stage-restore-1-dbroot2'), tablesEqual: 0 } });
    expect(Number(staged.result?.value && 'bytes' in staged.result.value ? staged.result.value.bytes : 0)).toBeGreaterThan(5_000_000);
    expect(await unfinishedRestore(pm2.config.stateDir)).toBe('restore-1');
    expect([...task.steps]).toEqual(['dbroots']);
    expect(look(pm2)).toMatchObject(before);

    // A finished stage is found again, with another ticket too.
    expect(await stage(spec('another'))).toEqual(staged);

    const switched = await doSwitch();
    const kept = (name: string): string => join(pm2.data, `.stillpoint-kept-restore-1-${name}`);
    expect(switched.result).toMatchObject({
      value: { kept: [kept('dbroot2'), kept('dbroot3'), join(dirname(dbrm), '.stillpoint-kept-restore-1-dbrm')] },
    });
    expect(picture(pm2.dbroot(2))).toEqual(images[2]);
    expect(picture(pm2.dbroot(3))).toEqual(images[3]);
    expect(readdirSync(dbrm)).toEqual([]);
    expect(readdirSync(join(pm2.home, 'tmp', 'rdwrscratch'))).toEqual(['backup_1_BRM_saves_em']);
    for (const path of [pm2.dbroot(2), join(pm2.dbroot(3), '001.dir', 'FILE7.cdf'), join(pm2.dbroot(2), '001.dir'), dbrm]) {
      expect(statSync(path)).toMatchObject(owner);
    }
    expect(lstatSync(join(pm2.dbroot(2), 'a-link'))).toMatchObject(owner);
    expect(await doSwitch()).toEqual(switched);

    const back = await rollback();
    expect(back.result).toMatchObject({ value: { switchedBack: true, setAside: join(pm2.data, '.stillpoint-undone-restore-1-dbroot2') } });
    const after = look(pm2);
    for (const [path, was] of Object.entries(before)) expect(after[path], path).toBe(was);
    await finish();
    expect(ours()).toEqual([]);
  });

  test('that the set does not have become empty; what was there is gone when it is finished', async () => {
    await stage(engineStage(own, { emptyDbroots: [3] }));
    await doSwitch();
    expect(readdirSync(pm2.dbroot(3))).toEqual([]);
    expect(picture(pm2.dbroot(2))).toEqual(images[2]);
    await finish();
    expect(ours()).toEqual([]);
    expect(picture(pm2.dbroot(2))).toEqual(images[2]);
  });

  test('come back on a wiped node; a stage that is thrown away leaves no directory behind', async () => {
    for (const name of ['data1', 'data2', 'data3']) rmSync(join(pm2.data, name), { recursive: true });
    const before = look(pm2);
    await stage();
    await rollback();
    expect(look(pm2)).toEqual(before);
    rmSync(join(pm2.config.stateDir, 'restore'), { recursive: true });
    await stage();
    expect((await doSwitch()).result).toMatchObject({ value: { kept: [] } });
    expect(picture(pm2.dbroot(3))).toEqual(images[3]);
    expect(readdirSync(dbrm)).toEqual([]);
    for (const path of [join(pm2.data, 'data1'), dirname(dbrm)]) expect(statSync(path)).toMatchObject(owner);
  });
});

describe('a stage', () => {
  const nothingLeft = async (before: Record<string, string>): Promise<void> => {
    expect(look(pm2)).toEqual(before);
    expect(await unfinishedRestore(pm2.config.stateDir)).toBeUndefined();
  };

  test.each([
    ['a ticket that nobody gave', () => spec('guess'), 'TICKET_REFUSED', /ticket/],
    ['a dbroot of which the task says nothing', () => engineStage(own), 'RESTORE_REFUSED', /of dbroots 2, but .* owns 2, 3/],
    [
      'a dbroot of another node',
      () => engineStage(own, { emptyDbroots: [1, 3] }),
      'RESTORE_REFUSED',
      /of dbroots 1, 2, 3, but .* owns 2, 3/,
    ],
    [
      'a part without that dbroot',
      () => engineStage(own, { dbroots: [2, 3].map((number) => ({ number, node: 'pm2', partSha256: own.sha256 })) }),
      'MANIFEST_INVALID',
      /part of pm2 holds no dbroot 3/,
    ],
    [
      'dbroots on what is said to be no node of the engine',
      () => engineStage(own, { columnstore: false }),
      'USAGE',
      /names nothing to restore/,
    ],
  ] as const)('of %s is refused, and nothing is made', async (_, task, code, message) => {
    const before = look(pm2);
    await expect(stage(task())).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await nothingLeft(before);
  });

  test.each([0, 1])('whose shard %i was damaged at the other node ends all of it, and nothing is left', async (index) => {
    const before = look(pm2);
    const file = join(other.directory, `dbroot3.base.${index}.tar.zst`);
    const good = readFileSync(file);
    const bad = Buffer.from(good);
    bad[Math.floor(bad.length / 2)] = (bad[Math.floor(bad.length / 2)] ?? 0) ^ 1;
    writeFileSync(file, bad);
    try {
      await expect(stage()).rejects.toMatchObject({ code: 'PART_CORRUPT' });
    } finally {
      writeFileSync(file, good);
    }
    await nothingLeft(before);
  });

  test('that is aborted leaves nothing, and one that an agent left half done is removed when it starts', async () => {
    const before = look(pm2);
    const abort = new AbortController();
    const task = { ...taskOf('restore-1', abort.signal), progress: () => abort.abort(new Error('enough')) };
    await expect(stage(spec(), task)).rejects.toThrow('enough');
    await nothingLeft(before);

    await stage();
    const journal = join(pm2.config.stateDir, 'restore', 'restore-1.json');
    writeFileSync(journal, readFileSync(journal, 'utf8').replace('"phase": "staged"', '"phase": "staging"'));
    await stageTask.recover?.(pm2.agent, spec(), 'restore-1');
    await nothingLeft(before);
  });

  test('with too little room is refused with the numbers, all trees of a file system together', async () => {
    const before = look(pm2);
    const huge = 2 ** 50;
    const part = {
      ...own.part,
      columnstore: own.part.columnstore && {
        ...own.part.columnstore,
        dbroots: own.part.columnstore.dbroots.map((one) => ({ ...one, dataBytes: huge })),
      },
    };
    const { sha256 } = rewrite(part);
    const task = engineStage({ ...own, sha256 }, { emptyDbroots: [3] });
    await expect(stage(task)).rejects.toMatchObject({
      code: 'SPACE_SHORT',
      message: expect.stringMatching(/needs 1125\d+ bytes .* and \d+ are free/),
    });
    rewrite(own.part);
    await nothingLeft(before);
  });
});

/** Writes part.json anew, as if the set had been so. */
function rewrite(part: EnginePart['part']): { sha256: string } {
  const place = { repository: pm2.config.repository, cluster: 'shop', setId: part.setId, node: part.node };
  return writePartManifest(place, part);
}
