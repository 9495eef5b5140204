import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Rig, SET, serverOwner, startRig, type TakenPart, takePart } from './agent-restore/rig.ts';
import { type AgeKey, ageKey } from './harness/age-key.ts';
import { loadShop, mark, markers, shopChecksums } from './harness/data.ts';
import { eventually } from './harness/eventually.ts';

/** The commands are those of an administrator: only root may give files away. */
describe.runIf(process.getuid?.() === 0)('an encrypted part restored by hand', () => {
  let rig: Rig;
  let key: AgeKey;
  let part: TakenPart;
  let checksums: Record<string, string>;
  beforeAll(async () => {
    rig = await startRig();
    key = ageKey(rig.home);
    const etc = join(rig.home, 'etc');
    mkdirSync(etc);
    writeFileSync(join(etc, 'tuning.cnf'), '[mariadbd]\n');
    await loadShop(rig.server, 2);
    await mark(rig.server, 'before');
    part = await takePart(rig, [join(etc, 'tuning.cnf')], key.recipient);
    checksums = await shopChecksums(rig.server);
  });
  afterAll(() => rig.server.remove());
  beforeEach(async () => {
    await mark(rig.server, `after-${Date.now()}`);
    return () => {
      for (const path of [`${rig.server.datadir}.before-restore`, work(), `${work()}.configuration`])
        rmSync(path, { recursive: true, force: true });
    };
  });
  const work = (): string => join(rig.home, 'work');
  const run = (commands: string): void => {
    const script = join(rig.home, 'commands.sh');
    writeFileSync(script, `set -eo pipefail\n${commands}\n`);
    execFileSync('bash', [script], { stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const isRestored = async (): Promise<void> => {
    await eventually(() =>
      rig.server.sql('SELECT 1').then(
        () => true,
        () => false,
      ),
    );
    expect(await markers(rig.server)).toEqual(['before']);
    expect(await shopChecksums(rig.server)).toEqual(checksums);
    expect(readFileSync(join(`${work()}.configuration`, rig.home, 'etc', 'tuning.cnf'), 'utf8')).toBe('[mariadbd]\n');
  };
  const instructions = (identity: string): string =>
    readFileSync(join(rig.config.repository, 'shop', SET, 'HOW-TO-RESTORE.txt'), 'utf8')
      .replace(/^WORK=.*$/m, `WORK=${work()}`)
      .replace(/^KEY=.*$/m, `KEY=${identity}`);

  test('with the instructions that lie beside it, once they are told where the identity is', async () => {
    expect(instructions(key.file)).toContain(`# The identity of one of ${key.recipient}\nKEY=${key.file}\n`);
    run(instructions(key.file));
    await isRestored();
  });

  test('not with another identity: nothing is touched', async () => {
    const before = await markers(rig.server);
    expect(() => run(instructions(ageKey(rig.home, 'other').file))).toThrow('no identity matched');
    expect(await markers(rig.server)).toEqual(before);
  });

  test('with the commands of the manual page', async () => {
    const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'restore-by-hand.md'), 'utf8');
    const [before = '', after = ''] = (page.split(/^## .*ColumnStore$/m)[0] ?? '').split(/^### An encrypted part$/m);
    const opening = /^```sh\n([\s\S]*?)^```$/m.exec(after)?.[1] ?? 'no such block';
    const steps = [...after.matchAll(/^```bash\n([\s\S]*?)^```$/gm)].map(([, block]) => block ?? '');
    expect(before).toContain('GTID=');
    const [start, stop] = commandsOf(rig);
    run(
      [
        `systemctl() { case "$1 $2" in 'stop mariadb') ${stop};; 'start mariadb') ${start};; *) return 1;; esac; }`,
        `PART=${part.directory} WORK=${work()} DATADIR=${rig.server.datadir} DEFAULTS=${rig.server.defaultsFile}`,
        `OWNER=${serverOwner}:${serverOwner} GTID=${part.part.mariadb?.position.gtidBinlogPos ?? ''}`,
        opening.replace(/^KEY=.*$/m, `KEY=${key.file}`).replace(/^OPENED=.*$/m, `OPENED=${join(rig.home, 'opened')}`),
        ...steps,
      ].join('\n'),
    );
    await isRestored();
  });
});

function commandsOf({ config }: Rig): [string, string] {
  const service = config.mariadb?.service;
  if (service?.driver !== 'commands') throw new Error('the rig starts its server by commands');
  return [service.start.join(' '), service.stop.join(' ')];
}
