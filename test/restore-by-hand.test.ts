import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Rig, SET, serverOwner, startRig, type TakenPart, takePart } from './agent-restore/rig.ts';
import { loadShop, mark, markers, shopChecksums } from './harness/data.ts';
import { eventually } from './harness/eventually.ts';

/** The commands are those of an administrator: only root may give files away. */
describe.runIf(process.getuid?.() === 0)('a part restored by hand', () => {
  let rig: Rig;
  let part: TakenPart;
  let checksums: Record<string, string>;
  beforeAll(async () => {
    rig = await startRig();
    const etc = join(rig.home, 'etc');
    mkdirSync(etc);
    writeFileSync(join(etc, 'tuning.cnf'), '[mariadbd]\n');
    await loadShop(rig.server, 4);
    await mark(rig.server, 'before');
    part = await takePart(rig, [join(etc, 'tuning.cnf')]);
    checksums = await shopChecksums(rig.server);
  });
  afterAll(() => rig.server.remove());

  /** What was there is wiped out by the commands; what they put aside and used goes here. */
  beforeEach(async () => {
    await mark(rig.server, `after-${Date.now()}`);
    return () => {
      for (const path of [`${rig.server.datadir}.before-restore`, work(), `${work()}.configuration`])
        rmSync(path, { recursive: true, force: true });
    };
  });
  const work = (): string => join(rig.home, 'work');

  /** Runs commands as they stand there, and stops at the first that fails. */
  const run = (commands: string, before = ''): void => {
    const script = join(rig.home, 'commands.sh');
    writeFileSync(script, `set -eo pipefail\n${before}\n${commands}\n`);
    execFileSync('bash', [script], { stdio: ['ignore', 'ignore', 'pipe'] });
  };

  const isRestored = async (): Promise<void> => {
    expect(await markers(rig.server)).toEqual(['before']);
    expect(await shopChecksums(rig.server)).toEqual(checksums);
    expect(readFileSync(join(`${work()}.configuration`, rig.home, 'etc', 'tuning.cnf'), 'utf8')).toBe('[mariadbd]\n');
    const [domain, server, sequence] = (part.part.mariadb?.position.gtidBinlogPos ?? '').split('-');
    await mark(rig.server, 'next');
    expect((await rig.server.sql('SELECT @@gtid_binlog_pos AS p'))[0]?.p).toBe(`${domain}-${server}-${Number(sequence) + 1}`);
  };

  test('with the instructions that lie beside it, unchanged but for the directory to work in', async () => {
    const text = readFileSync(join(rig.config.repository, 'shop', SET, 'HOW-TO-RESTORE.txt'), 'utf8');
    const commands = text.replace(/^WORK=.*$/m, `WORK=${work()}`);
    expect(commands).not.toBe(text);
    run(commands);
    await eventuallyUp();
    await isRestored();
  });

  test('with the commands of the manual page', async () => {
    const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'restore-by-hand.md'), 'utf8');
    // ColumnStore is the last chapter, and has a test of its own.
    const blocks = [...(page.split(/^## .*ColumnStore$/m)[0] ?? '').matchAll(/^```bash\n([\s\S]*?)^```$/gm)].map(
      ([, block]) => block ?? '',
    );
    const [variables = '', ...steps] = blocks;
    const values: Record<string, string> = {
      PART: part.directory,
      WORK: work(),
      DATADIR: rig.server.datadir,
      DEFAULTS: rig.server.defaultsFile,
      OWNER: `${serverOwner}:${serverOwner}`,
      GTID: part.part.mariadb?.position.gtidBinlogPos ?? '',
    };
    const names = [...variables.matchAll(/^(\w+)=/gm)].map(([, name]) => name ?? '');
    expect(names.sort()).toEqual(Object.keys(values).sort());
    const set = names.map((name) => `${name}=${values[name] ?? ''}`).join('\n');
    const [start, stop] = commandsOf(rig);
    run(
      [set, ...steps].join('\n'),
      `systemctl() { case "$1 $2" in 'stop mariadb') ${stop};; 'start mariadb') ${start};; *) return 1;; esac; }`,
    );
    await eventuallyUp();
    await isRestored();
  });

  test('not when a byte was changed: the instructions stop before anything is touched', async () => {
    const image = join(part.directory, 'mariadb.full.mbstream.zst');
    const good = readFileSync(image);
    const bad = Buffer.from(good);
    bad[500] = (bad[500] ?? 0) ^ 1;
    writeFileSync(image, bad);
    const text = readFileSync(join(rig.config.repository, 'shop', SET, 'HOW-TO-RESTORE.txt'), 'utf8');
    const before = await markers(rig.server);
    expect(() => run(text.replace(/^WORK=.*$/m, `WORK=${work()}`))).toThrow('did NOT match');
    writeFileSync(image, good);
    expect(await markers(rig.server)).toEqual(before);
  });

  const eventuallyUp = (): Promise<unknown> =>
    eventually(() =>
      rig.server.sql('SELECT 1').then(
        () => true,
        () => false,
      ),
    );
});

function commandsOf({ config }: Rig): [string, string] {
  const service = config.mariadb?.service;
  if (service?.driver !== 'commands') throw new Error('the rig starts its server by commands');
  return [service.start.join(' '), service.stop.join(' ')];
}
