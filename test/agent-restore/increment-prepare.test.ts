import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { type PartManifest, sha256Of } from '@stillpoint/shared/manifest';
import { RollbackTaskSchema } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRepository, verifyPart } from '../../packages/agent/src/repository/index.ts';
import { rollbackTask, stageTask } from '../../packages/agent/src/restore/index.ts';
import { loadShop, mark, shopChecksums } from '../harness/data.ts';
import { replaceProgram } from '../harness/gates.ts';
import { makePartDirectory, setManifest, writePartManifest } from './parts.ts';
import { type Rig, SET, stageSpec, startRig, type TakenPart, takePart, taskOf } from './rig.ts';

const NEXT = '20261121-101500-bbbbbbbb';
const WHOLE = '20261121-111500-cccccccc';

let rig: Rig;
let increment: TakenPart;
let whole: TakenPart;

/** A number that mariadb-backup has written down. */
const numberIn = (directory: string, name: string): string =>
  new RegExp(`^${name} = (\\d+)$`, 'm').exec(readFileSync(join(directory, 'xtrabackup_checkpoints'), 'utf8'))?.[1] ?? '';

/** Takes an increment of the part by the tools alone. */
async function takeIncrement(full: TakenPart): Promise<TakenPart> {
  const { config, server, home } = rig;
  const place = { repository: config.repository, cluster: config.cluster, setId: NEXT, node: config.node };
  const directory = makePartDirectory(place);
  const lsn = join(home, 'lsn');
  const image = join(directory, 'mariadb.incr.mbstream.zst');
  const base = full.part.shards.find(({ content }) => content === 'mariadb-full');
  if (base === undefined) throw new Error('the full part has no image');
  execFileSync('bash', [
    '-c',
    'set -o pipefail; mkdir "$4"; zstd -dc "$0" | mbstream -x -C "$4"; mariadb-backup --defaults-file="$1" --backup --user=root --socket="$2" --stream=mbstream --extra-lsndir="$4"/next --incremental-lsn=$(sed -n "s/^to_lsn = //p" "$4"/xtrabackup_checkpoints) 2>/dev/null | zstd -q -o "$3"',
    join(full.directory, base.name),
    server.defaultsFile,
    server.socket,
    image,
    lsn,
  ]);
  const data = readFileSync(image);
  const checksums = full.part.checksums.map((each) => ({ ...each }));
  const sums = await shopChecksums(server);
  for (const each of checksums) each.checksum = sums[`${each.database}.${each.table}`] ?? each.checksum;
  const { mariadb } = full.part;
  if (mariadb === undefined) throw new Error('the full part has no server');
  const { part, sha256 } = writePartManifest(place, {
    shards: [
      {
        ...{ name: 'mariadb.incr.mbstream.zst', content: 'mariadb-incremental', encoding: 'mbstream+zstd' },
        ...{ storedBytes: data.length, sha256: sha256Of(data) },
      },
    ],
    checksums,
    mariadb: {
      ...mariadb,
      ...{ fromLsn: numberIn(join(lsn, 'next'), 'from_lsn'), toLsn: numberIn(join(lsn, 'next'), 'to_lsn') },
      lastLsn: numberIn(join(lsn, 'next'), 'last_lsn'),
      chain: [{ ...base, set: SET, node: config.node }],
    },
  } satisfies Partial<PartManifest>);
  await openRepository(config).commitSet(NEXT, setManifest(place, { [config.node]: sha256 }, [SET]));
  return { part, sha256, directory };
}

/** The same images in one set: as they are where a server was copied before the lock, and what had changed under it. */
async function inOneSet(full: TakenPart, { directory: from, part: { checksums, mariadb, shards } }: TakenPart): Promise<TakenPart> {
  const { config } = rig;
  const place = { repository: config.repository, cluster: config.cluster, setId: WHOLE, node: config.node };
  const directory = makePartDirectory(place);
  const base = full.part.shards.find(({ content }) => content === 'mariadb-full');
  const [shard] = shards;
  if (base === undefined || shard === undefined || mariadb === undefined) throw new Error('a part has no image');
  copyFileSync(join(full.directory, base.name), join(directory, base.name));
  copyFileSync(join(from, shard.name), join(directory, 'mariadb.delta.mbstream.zst'));
  const { chain: _, ...server } = mariadb;
  const { part, sha256 } = writePartManifest(place, {
    shards: [base, { ...shard, name: 'mariadb.delta.mbstream.zst' }],
    checksums,
    mariadb: { ...server, base: base.name },
  } satisfies Partial<PartManifest>);
  await openRepository(config).commitSet(WHOLE, setManifest(place, { [config.node]: sha256 }));
  return { part, sha256, directory };
}

beforeAll(async () => {
  rig = await startRig();
  await loadShop(rig.server, 16);
  await mark(rig.server, 'before');
  const full = await takePart(rig);
  await mark(rig.server, 'between');
  await rig.server.sql('UPDATE shop.orders SET body = REVERSE(body)');
  increment = await takeIncrement(full);
  whole = await inOneSet(full, increment);
  await mark(rig.server, 'after');
});
afterAll(() => rig.server.remove());

const beside = (): string[] => readdirSync(dirname(rig.server.datadir)).filter((name) => name.startsWith('.stillpoint'));

/** Runs with programs in the place of others. */
async function withProgram<T>(name: string, lines: string, work: () => Promise<T>): Promise<T> {
  const programs = join(rig.home, 'programs');
  mkdirSync(programs, { recursive: true });
  replaceProgram(programs, name, lines);
  const present = process.env.PATH;
  process.env.PATH = `${programs}:${present}`;
  try {
    return await work();
  } finally {
    process.env.PATH = present;
  }
}

test.each([
  ['of another set', () => increment, [`mariadb.full.mbstream.zst of set ${SET}`, `mariadb.incr.mbstream.zst of set ${NEXT}`]],
  ['of its own', () => whole, [`mariadb.full.mbstream.zst of set ${WHOLE}`, `mariadb.delta.mbstream.zst of set ${WHOLE}`]],
])(
  'an increment of an image %s that is interrupted while it is applied leaves nothing, and the next restore begins with the full image',
  async (_what, which, read) => {
    const taken = which();
    const operation = `restore-${taken.part.setId}`;
    expect((await verifyPart(openRepository(rig.config), taken.part.setId, 'db1', taskOf('v'))).problems).toEqual([]);
    const seen = join(rig.home, 'seen');
    writeFileSync(seen, '');
    // It runs as the owner of the data.
    chmodSync(seen, 0o666);
    // Killed in the middle, as when memory runs out: run again on the same directories it would say that all went well.
    const killed = `case "$*" in *--incremental-dir=*) echo applied >>${seen}; PATH=\${PATH#*:} timeout -s KILL 0.4 mariadb-backup "$@"; exit 1 ;; esac\nPATH=\${PATH#*:} exec mariadb-backup "$@"\n`;
    const failed = withProgram('mariadb-backup', killed, () => stageTask.run(rig.agent, stageSpec(taken), taskOf(operation)));
    await expect(failed).rejects.toMatchObject({ code: 'STAGE_FAILED' });
    expect(readFileSync(seen, 'utf8')).toBe('applied\n');
    expect(beside()).toEqual([]);

    const task = taskOf(operation);
    const staged = await stageTask.run(rig.agent, stageSpec(taken), task);
    expect(staged.result).toMatchObject({ value: { tablesEqual: 6, tablesUnproven: [] } });
    expect(task.logs).toEqual(read.map((image) => `reading ${image} from ${rig.config.repository}`));
    expect(beside()).toEqual([`.stillpoint-stage-${operation}`]);
    await rollbackTask.run(rig.agent, create(RollbackTaskSchema), taskOf(operation));
    expect(beside()).toEqual([]);
  },
);

test('the commands of the manual page prepare both images of a set', () => {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'restore-by-hand.md'), 'utf8');
  const chapters = /^## 3\. Extract$([\s\S]*)^## 5\./m.exec(page)?.[1] ?? '';
  const commands = [...chapters.matchAll(/^```bash\n([\s\S]*?)^```$/gm)].map(([, block]) => block ?? '').join('\n');
  const work = join(rig.home, 'by-hand');
  execFileSync('bash', ['-c', `set -eo pipefail\nPART=${whole.directory} WORK=${work}\n${commands}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  expect(numberIn(work, 'to_lsn')).toBe(whole.part.mariadb?.toLsn);
  expect(existsSync(`${work}.increment`)).toBe(false);
});

test('an agent that was killed meanwhile throws both away when it starts again', async () => {
  const { config } = rig;
  const abort = new AbortController();
  const task = taskOf('restore-2', abort.signal);
  // What a crash leaves: the journal of a stage that is under way, with an increment beside it.
  const hang = `case "$*" in *--incremental-dir=*) exec sleep 600 ;; esac\nPATH=\${PATH#*:} exec mariadb-backup "$@"\n`;
  await withProgram('mariadb-backup', hang, async () => {
    const staging = stageTask.run(rig.agent, stageSpec(increment), task);
    staging.catch(() => undefined);
    while (!existsSync(join(dirname(rig.server.datadir), '.stillpoint-stage-restore-2-increment')))
      await new Promise((r) => setTimeout(r, 50));
    const state = readFileSync(join(config.stateDir, 'restore', 'restore-2.json'), 'utf8');
    abort.abort(new Error('killed'));
    await expect(staging).rejects.toThrow();
    mkdirSync(join(config.stateDir, 'restore'), { recursive: true });
    writeFileSync(join(config.stateDir, 'restore', 'restore-2.json'), state);
  });
  for (const name of ['', '-increment']) mkdirSync(join(dirname(rig.server.datadir), `.stillpoint-stage-restore-2${name}`));
  await stageTask.recover?.(rig.agent, stageSpec(increment), 'restore-2');
  expect(beside()).toEqual([]);
});
