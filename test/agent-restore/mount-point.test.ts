import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadShop, mark, markers, shopChecksums } from '../harness/data.ts';
import { eventually } from '../harness/eventually.ts';
import { type Rig, serverOwner, startRig, type TakenPart, takePart } from './rig.ts';
import { tasksOf } from './tasks.ts';

/** Ways in which a data directory can be a mount point. The bind mount has the device number of its surroundings. */
const MOUNTS = {
  'a file system of its own': (directory: string) =>
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=900m,mode=0755', 'tmpfs', directory]),
  'a bind mount': (directory: string, home: string) => {
    mkdirSync(join(home, 'bound'));
    return execFileSync('mount', ['--bind', join(home, 'bound'), directory]);
  },
} as const;

describe.runIf(process.getuid?.() === 0).each(Object.entries(MOUNTS))('a data directory that is %s', (_, mount) => {
  let rig: Rig;
  let part: TakenPart;
  let checksums: Record<string, string>;
  beforeAll(async () => {
    // As on any server with a file system of its own: mariadb-upgrade would rename the directory otherwise.
    rig = await startRig({ server: { options: { 'ignore-db-dirs': 'lost+found' } } });
    const { server, home } = rig;
    await server.stop();
    const aside = `${server.datadir}.aside`;
    execFileSync('mv', [server.datadir, aside]);
    mkdirSync(server.datadir);
    mount(server.datadir, home);
    execFileSync('bash', ['-c', 'cp -a "$0"/. "$1" && mkdir -p "$1/lost+found" && chown "$2:" "$1"', aside, server.datadir, serverOwner]);
    await server.start();
    await loadShop(server, 2);
    await mark(server, 'before');
    part = await takePart(rig);
    checksums = await shopChecksums(server);
    await mark(server, 'after');
  });
  afterAll(async () => {
    await rig.server.kill('SIGKILL');
    // The threads of a killed server may keep it busy for a moment longer than its process lives.
    await eventually(() => spawnSync('umount', [rig.server.datadir]).status === 0);
    await rig.server.remove();
  });

  const databases = async (): Promise<string[]> => (await rig.server.sql('SHOW DATABASES')).map((row) => String(row.Database)).sort();
  const usual = ['information_schema', 'mysql', 'performance_schema', 'shop', 'sys'];
  const ours = (): string => join(rig.server.datadir, 'mysql', '.stillpoint');
  /** What a server and its tools see of a directory within theirs: nothing. */
  const noticed = async (): Promise<string[]> => {
    const { server, home } = rig;
    const backup = join(home, 'noticed');
    execFileSync(
      'mariadb-backup',
      [`--defaults-file=${server.defaultsFile}`, '--backup', '--user=root', `--socket=${server.socket}`, `--target-dir=${backup}`],
      { stdio: 'ignore' },
    );
    const inBackup = execFileSync('find', [backup, '-name', '*stillpoint*'], { encoding: 'utf8' }).split('\n').filter(Boolean);
    execFileSync('rm', ['-r', backup]);
    return [...inBackup, ...(await databases()).filter((name) => !usual.includes(name))];
  };

  test('is staged within itself, where neither the server nor a backup notices it', async () => {
    const restore = tasksOf(rig, 'restore-1');
    const staged = await restore.stage(part);
    expect(staged.result).toMatchObject({ value: { path: join(ours(), 'stage-restore-1'), tablesEqual: 6 } });
    expect(await noticed()).toEqual([]);
  });

  test('is exchanged entry by entry, what was there is kept within, unnoticed', async () => {
    const restore = tasksOf(rig, 'restore-1');
    await restore.stop();
    const switched = await restore.doSwitch();
    expect(switched.result).toMatchObject({ value: { kept: [join(ours(), 'kept-restore-1')] } });
    await restore.start();
    expect(await markers(rig.server)).toEqual(['before']);
    expect(await shopChecksums(rig.server)).toEqual(checksums);
    expect(await noticed()).toEqual([]);
    execFileSync('mariadb-upgrade', ['--no-defaults', `--socket=${rig.server.socket}`, '--user=root', '--force'], { stdio: 'ignore' });
  });

  test('goes back, and is clean in the end', async () => {
    const restore = tasksOf(rig, 'restore-1');
    const back = await restore.rollback(true);
    expect(back.result).toMatchObject({ value: { switchedBack: true, setAside: join(ours(), 'undone-restore-1') } });
    expect(await markers(rig.server)).toEqual(['after', 'before']);
    await restore.finish();
    expect(existsSync(ours())).toBe(false);
    expect(await databases()).toEqual(usual);
    expect(existsSync(join(rig.server.datadir, 'lost+found'))).toBe(true);
  });

  test.each(['switch', 'rollback'] as const)('half exchanged and then started by the boot, a %s still ends well', async (work) => {
    const restore = tasksOf(rig, `restore-${work}`);
    await restore.stage(part);
    await restore.stop();
    expect(restore.killed('switch', `kept-restore-${work}/ibdata1`)).toBe('SIGKILL');
    // Whether it comes up depends on what has moved so far; it makes files in any case.
    await rig.server.start().catch(() => undefined);
    await rig.server.stop();
    if (work === 'switch') {
      await restore.doSwitch();
      await restore.start();
      expect(await markers(rig.server)).toEqual(['before']);
      expect(await shopChecksums(rig.server)).toEqual(checksums);
    }
    await restore.rollback(true);
    expect(await markers(rig.server)).toEqual(['after', 'before']);
    expect(restore.task.logs).toContainEqual(expect.stringContaining('was made while the restore was half done'));
    await restore.finish();
    expect(existsSync(ours())).toBe(false);
    expect(await databases()).toEqual(usual);
  });

  test('comes back when it was emptied', async () => {
    await rig.server.stop();
    execFileSync('find', [rig.server.datadir, '-mindepth', '1', '-delete']);
    const restore = tasksOf(rig, 'restore-2');
    await restore.stage(part);
    await restore.doSwitch();
    await restore.start();
    expect(await shopChecksums(rig.server)).toEqual(checksums);
    await restore.finish();
    expect(readdirSync(rig.server.datadir).filter((name) => name.includes('stillpoint'))).toEqual([]);
    expect(existsSync(ours())).toBe(false);
  });
});

describe.runIf(process.getuid?.() === 0)('a data directory with something mounted within', () => {
  test('is refused, because that cannot be renamed', async () => {
    const rig = await startRig();
    const inner = join(rig.server.datadir, 'inner');
    mkdirSync(inner);
    const part = await takePart(rig);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', inner]);
    try {
      await expect(tasksOf(rig, 'restore-1').stage(part)).rejects.toMatchObject({
        code: 'RESTORE_REFUSED',
        message: expect.stringContaining(inner),
      });
    } finally {
      execFileSync('umount', [inner]);
      await rig.server.remove();
    }
  });
});
