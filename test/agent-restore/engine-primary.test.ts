import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { PartColumnstore, PartManifest } from '@stillpoint/shared/manifest';
import { FinishTaskSchema, RollbackTaskSchema, type StageTaskSchema, SwitchTaskSchema } from '@stillpoint/shared/proto';
import { beforeEach, describe, expect, test } from 'vitest';
import { finishTask, stageTask } from '../../packages/agent/src/restore/index.ts';
import { rollbackTaskWith } from '../../packages/agent/src/restore/rollback.ts';
import { noSeams } from '../../packages/agent/src/restore/seams.ts';
import { switchTaskWith } from '../../packages/agent/src/restore/switch.ts';
import { type EnginePart, type EngineRig, engineRig, engineStage, fillDbroot, picture, takeEnginePart } from './engine-rig.ts';
import { writePartManifest } from './parts.ts';
import { agentOf, taskOf } from './rig.ts';

/** A single node of the engine: it owns dbroot 1, and with it the block resolution manager. */
let rig: EngineRig;
let part: EnginePart;
let secrets: string;
beforeEach(async () => {
  rig = engineRig(1, [[1]], (xml) => xml.replace('<NumThreads>8<', '<NumThreads>16<').replace('<Password><', '<Password>of then<'));
  secrets = join(rig.data, '.secrets');
  writeFileSync(secrets, 'key');
  fillDbroot(rig.dbroot(1), 1, 'cut');
  part = await takeEnginePart(rig, [1], [rig.xml, secrets]);
});

type Fields = MessageInitShape<typeof StageTaskSchema>;
const stage = (fields: Fields = {}, from: EnginePart = part) => stageTask.run(rig.agent, engineStage(from, fields), taskOf('restore-1'));
/** Other tests of this host may run engines that are no concern of these files. */
const seams = { ...noSeams, engine: { ...noSeams.engine, refuseRunning: () => Promise.resolve() } };
const doSwitch = () => switchTaskWith(seams).run(rig.agent, create(SwitchTaskSchema), taskOf('restore-1'));
const rollback = () => rollbackTaskWith(seams).run(rig.agent, create(RollbackTaskSchema), taskOf('restore-1'));
const edit = (file: string, from: string, to: string): void => writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
/** The same part, as if the set had been so. */
function rewritten(columnstore: Partial<PartColumnstore>, more: Partial<PartManifest> = {}): EnginePart {
  const place = { repository: rig.config.repository, cluster: 'shop', setId: part.part.setId, node: 'pm1' };
  const before = part.part.columnstore as PartColumnstore;
  return { ...part, ...writePartManifest(place, { ...part.part, columnstore: { ...before, ...columnstore }, ...more }) };
}
const nothingStaged = (): void => expect(readdirSync(rig.data).filter((name) => name.startsWith('.stillpoint'))).toEqual([]);

describe('a set that the engine of this node could not use is refused before anything is stopped', () => {
  /** What is installed is told by a file of its packages, as releases before 1.4 have it. */
  function installOld(): void {
    writeFileSync(join(rig.home, 'releasenum'), 'version=1.2.5\nrelease=1\n');
    mkdirSync(join(rig.home, 'local'));
    writeFileSync(join(rig.home, 'local', 'module'), 'pm1\n');
  }

  test('one of a newer engine', async () => {
    installOld();
    await expect(stage()).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
      message: 'The set is of an engine 6.4.12; this node has one 1.2.5, which cannot read it',
    });
    nothingStaged();
  });

  test('one whose extent map an engine before 6 cannot read, whatever its manifest says', async () => {
    installOld();
    await expect(stage({}, rewritten({ generation: 'oam', version: '1.2.5' }))).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
      message: expect.stringMatching(/extent map in the set is of an engine 6 or later; this node has one 1.2.5/),
    });
    nothingStaged();
  });

  test('one with another number of files in a partition', async () => {
    edit(rig.xml, '<FilesPerColumnPartition>4<', '<FilesPerColumnPartition>8<');
    await expect(stage()).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
      message: expect.stringMatching(/FilesPerColumnPartition was 4 on pm1 and is 8 in/),
    });
    nothingStaged();
  });

  test('one with the block resolution manager elsewhere in dbroot 1', async () => {
    edit(rig.xml, 'data1/systemFiles/dbrm/BRM_saves<', 'data1/brm/BRM_saves<');
    await expect(stage()).rejects.toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining('brm') });
    nothingStaged();
  });

  test('one without dbroot 1, and one whose current set is not whole', async () => {
    await expect(stage({ dbroots: [], emptyDbroots: [1] })).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
      message: expect.stringContaining('no dbroot 1'),
    });
    rmSync(join(rig.dbroot(1), 'systemFiles/dbrm/BRM_saves_vss'));
    rmSync(part.directory, { recursive: true });
    const broken = await takeEnginePart(rig, [1], [rig.xml]);
    await expect(stage({}, broken)).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining('BRM_saves_vss') });
    nothingStaged();
  });
});

describe('Columnstore.xml', () => {
  test('keeps all but its tuning, whatever the plan says of configuration; the found one is kept, and comes back', async () => {
    edit(rig.xml, '<NumThreads>16<', '<NumThreads>4<');
    edit(rig.xml, '<ConfigRevision>1<', '<ConfigRevision>7<');
    edit(rig.xml, '<Password>of then<', '<Password>of now<');
    chmodSync(rig.xml, 0o640);
    const found = readFileSync(rig.xml, 'utf8');
    await stage();
    // cmapi writes it when it stops the cluster, which is after the stage.
    edit(rig.xml, '<Maintenance>false<', '<Maintenance>true<');
    const stopped = readFileSync(rig.xml, 'utf8');
    const switched = await doSwitch();
    expect(switched.result).toMatchObject({ value: { configuration: [rig.xml] } });
    const now = readFileSync(rig.xml, 'utf8');
    for (const text of ['<NumThreads>16<', '<ConfigRevision>7<', '<Maintenance>true<', '<Password>of then<']) expect(now).toContain(text);
    expect(statSync(rig.xml).mode & 0o777).toBe(0o640);
    expect(readFileSync(`${rig.xml}.found-restore-1`, 'utf8')).toBe(stopped);
    await rollback();
    expect(readFileSync(rig.xml, 'utf8')).toBe(stopped);
    expect(found).not.toBe(stopped);
  });

  test('is left alone when its tuning is as it was', async () => {
    await stage({ restoreConfiguration: true });
    const switched = await doSwitch();
    expect(switched.result).toMatchObject({ value: { configuration: [] } });
    expect(existsSync(`${rig.xml}.found-restore-1`)).toBe(false);
  });

  test.each([
    ['another key is here', () => writeFileSync(secrets, 'another key'), 'of now'],
    ['the key of the set comes back with it', () => rmSync(secrets), 'of then'],
  ])('gets the password of the set only with its key: %s', async (_, change, password) => {
    edit(rig.xml, '<Password>of then<', '<Password>of now<');
    change();
    const key = existsSync(secrets) ? readFileSync(secrets, 'utf8') : 'key';
    await stage({ restoreConfiguration: true });
    await doSwitch();
    expect(readFileSync(rig.xml, 'utf8')).toContain(`<Password>${password}<`);
    // The key that was found is never exchanged.
    expect(readFileSync(secrets, 'utf8')).toBe(key);
  });

  test('comes back whole on a wiped node, if the plan says so, and the dbroots with it', async () => {
    const xml = readFileSync(rig.xml, 'utf8');
    const image = picture(rig.dbroot(1));
    const wiped = { ...rig, config: { ...rig.config, configuration: [] }, agent: agentOf(rig.config) };
    rig = wiped;
    rmSync(rig.xml);
    rmSync(rig.dbroot(1), { recursive: true });
    await expect(stage()).rejects.toMatchObject({ code: 'RESTORE_REFUSED', message: expect.stringContaining(rig.xml) });
    await stage({ restoreConfiguration: true });
    await doSwitch();
    expect(readFileSync(rig.xml, 'utf8')).toBe(xml);
    expect(picture(rig.dbroot(1))).toEqual(image);
    await finishTask.run(rig.agent, create(FinishTaskSchema), taskOf('restore-1'));
  });
});

describe.runIf(process.getuid?.() === 0)('a dbroot that is a mount point', () => {
  test('is exchanged entry by entry, and goes back', async () => {
    const dbroot = rig.dbroot(1);
    const mounted = `${dbroot}.mounted`;
    mkdirSync(mounted);
    execFileSync('cp', ['-a', `${dbroot}/.`, mounted]);
    execFileSync('mount', ['--bind', mounted, dbroot]);
    try {
      const image = picture(dbroot, 'files');
      rmSync(join(dbroot, 'only-cut'));
      fillDbrootAgain(dbroot);
      const live = picture(dbroot, 'files');
      const staged = await stage();
      expect(staged.result).toMatchObject({ value: { path: join(dbroot, '.stillpoint', 'stage-restore-1-dbroot1') } });
      await doSwitch();
      expect(without(picture(dbroot, 'files'))).toEqual(image);
      expect(readdirSync(join(dbroot, '.stillpoint'))).toEqual(['kept-restore-1-dbroot1']);
      await rollback();
      expect(without(picture(dbroot, 'files'))).toEqual(live);
      await finishTask.run(rig.agent, create(FinishTaskSchema), taskOf('restore-1'));
      expect(picture(dbroot, 'files')).toEqual(live);
    } finally {
      execFileSync('umount', [dbroot]);
    }
  });
});

const without = (all: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(all).filter(([path]) => !path.startsWith('.stillpoint')));

function fillDbrootAgain(dbroot: string): void {
  const column = join(dbroot, '000.dir', '000.dir', '011.dir', '184.dir', '000.dir', 'FILE000.cdf');
  writeFileSync(column, 'written since');
  mkdirSync(join(dbroot, '002.dir'));
  writeFileSync(join(dbroot, '002.dir', 'FILE000.cdf'), 'since');
}
