import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { LAYOUT, type PartManifest } from '@stillpoint/shared/manifest';
import { RollbackTaskSchema } from '@stillpoint/shared/proto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { rollbackTask, stageTask } from '../../packages/agent/src/restore/index.ts';
import { loadState } from '../../packages/agent/src/restore/state.ts';
import { loadShop, mark, shopChecksums } from '../harness/data.ts';
import { eventually } from '../harness/eventually.ts';
import { replaceProgram } from '../harness/gates.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { isAlive } from '../harness/processes.ts';
import { shardOf, writePartManifest } from './parts.ts';
import { agentOf, type Rig, SET, serverOwner, stageSpec, startRig, takePart, taskOf } from './rig.ts';

let rig: Rig;
let good: Awaited<ReturnType<typeof takePart>>;
let image: string;
let kept: string;
let checksums: Record<string, string>;
beforeAll(async () => {
  rig = await startRig();
  await loadShop(rig.server, 6);
  await mark(rig.server, 'before');
  good = await takePart(rig);
  image = join(good.directory, LAYOUT.mariadbFull);
  kept = `${good.directory}.kept`;
  execFileSync('cp', ['-a', good.directory, kept]);
  checksums = await shopChecksums(rig.server);
});
afterAll(() => rig.server.remove());

/** Whatever went wrong: nothing is left of it, and the live server never noticed. */
afterEach(async () => {
  expect(readdirSync(dirname(rig.server.datadir)).filter((name) => name.startsWith('.stillpoint'))).toEqual([]);
  expect(await loadState(rig.config.stateDir, 'restore-1')).toBeUndefined();
  expect(await shopChecksums(rig.server)).toEqual(checksums);
  rmSync(good.directory, { recursive: true });
  execFileSync('cp', ['-a', kept, good.directory]);
});

const place = () => ({ repository: rig.config.repository, cluster: 'shop', setId: SET, node: 'db1' });
const stage = (part: { sha256: string; part: PartManifest } = good, signal?: AbortSignal) =>
  stageTask.run(rig.agent, stageSpec(part), taskOf('restore-1', signal));
/** A part.json that fits what lies there now, as if it had been written so. */
const rewritten = (fields: Partial<PartManifest> = {}) =>
  writePartManifest(place(), { ...good.part, shards: [shardOf(good.directory, LAYOUT.mariadbFull)], ...fields });

test('a truncated image is refused', async () => {
  truncateSync(image, readFileSync(image).length - 1000);
  await expect(stage()).rejects.toMatchObject({ code: 'PART_CORRUPT', message: expect.stringContaining('bytes instead of') });
});

test('a flipped bit is refused', async () => {
  const data = readFileSync(image);
  const at = Math.floor(data.length / 3);
  data[at] = (data[at] ?? 0) ^ 1;
  writeFileSync(image, data);
  await expect(stage()).rejects.toMatchObject({ code: 'PART_CORRUPT', message: expect.stringContaining('does not hold the bytes') });
});

test('a missing image is refused', async () => {
  rmSync(image);
  await expect(stage()).rejects.toMatchObject({ code: 'PART_CORRUPT', message: expect.stringContaining('is missing') });
});

test('an image cut exactly between two chunks is refused although every program ends well', async () => {
  const raw = join(rig.home, 'image.mbstream');
  execFileSync('zstd', ['-dqf', image, '-o', raw]);
  const chunks = chunkOffsets(readFileSync(raw));
  truncateSync(raw, chunks.at(-3) ?? 0);
  rmSync(image);
  execFileSync('zstd', ['-q', raw, '-o', image]);
  await expect(stage(rewritten())).rejects.toMatchObject({ code: 'PART_CORRUPT', message: expect.stringContaining('xtrabackup_info') });
});

/** Where the chunks of an mbstream begin: magic, flags, type, path, and for data its length, offset and checksum. */
function chunkOffsets(data: Buffer): number[] {
  const offsets: number[] = [];
  for (let at = 0; at < data.length; ) {
    expect(data.toString('latin1', at, at + 8)).toBe('XBSTCK01');
    offsets.push(at);
    const isData = data.toString('latin1', at + 9, at + 10) === 'P';
    const path = data.readUInt32LE(at + 10);
    at += 14 + path;
    if (isData) at += 8 + 8 + 4 + Number(data.readBigUInt64LE(at));
  }
  return offsets;
}

test('a table that differs from the cut fails the proof by name', async () => {
  const wrong = good.part.checksums.map((sum) => (sum.table === 'orders' ? { ...sum, checksum: '1' } : sum));
  await expect(stage(rewritten({ checksums: wrong }))).rejects.toMatchObject({
    code: 'PROOF_FAILED',
    message: expect.stringContaining('shop.orders'),
  });
});

test('a table of the cut that is not there fails the proof by name', async () => {
  const more = [...good.part.checksums, { database: 'shop', table: 'gone', engine: 'InnoDB', checksum: '5' }];
  await expect(stage(rewritten({ checksums: more }))).rejects.toMatchObject({
    code: 'PROOF_FAILED',
    message: expect.stringContaining('shop.gone'),
  });
});

test('a manifest other than the committed one is refused', async () => {
  const { part } = rewritten({ hostname: 'elsewhere' });
  await expect(stage({ part, sha256: good.sha256 })).rejects.toMatchObject({ code: 'PART_CORRUPT' });
});

test('a manifest whose file leads elsewhere is refused', async () => {
  const shards = good.part.shards.map((shard) => ({ ...shard, name: '../../../../../etc/passwd' }));
  await expect(stage(rewritten({ shards }))).rejects.toMatchObject({
    code: 'MANIFEST_INVALID',
    message: expect.stringContaining('shards.0.name'),
  });
});

test('the part of another set or node is refused', async () => {
  await expect(stage(rewritten({ node: 'db2' }))).rejects.toMatchObject({ code: 'PART_NOT_FOUND' });
  const { part, sha256 } = writePartManifest(place(), { ...good.part, cluster: 'other' });
  await expect(stage({ part, sha256 })).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
});

test('a GTID position that is none is refused', async () => {
  const run = stageTask.run(rig.agent, stageSpec(good, { gtidPosition: "0-1-5'" }), taskOf('restore-1'));
  await expect(run).rejects.toMatchObject({ code: 'STAGE_FAILED', message: expect.stringContaining('is not a GTID position') });
});

test('an image that cannot be prepared is refused with what the tool says', async () => {
  const scratch = join(rig.home, 'scratch');
  mkdirSync(scratch);
  execFileSync('bash', ['-c', `zstd -dc ${image} | mbstream -x -C ${scratch}; : > ${scratch}/ib_logfile0`]);
  execFileSync('bash', [
    '-c',
    `cd ${scratch} && mariadb-backup --version >/dev/null 2>&1; find . -type f -printf '%P\\n' | mbstream -c $(cat) | zstd -qf -o ${image}`,
  ]);
  await expect(stage(rewritten())).rejects.toMatchObject({ code: 'STAGE_FAILED', message: expect.stringContaining('mariadb-backup') });
});

test('too little space is refused with the numbers', async () => {
  const part = rewritten({ mariadb: { ...(good.part.mariadb as NonNullable<PartManifest['mariadb']>), dataBytes: 1e15 } });
  await expect(stage(part)).rejects.toMatchObject({
    code: 'SPACE_SHORT',
    message: expect.stringMatching(/needs 10200001\d+ bytes .* and \d+ are free/),
  });
});

test('an abort while extracting leaves nothing', async () => {
  const abort = new AbortController();
  const task = { ...taskOf('restore-1', abort.signal), progress: () => abort.abort(new Error('enough')) };
  await expect(stageTask.run(rig.agent, stageSpec(good), task)).rejects.toThrow('enough');
});

test.each(['prepare', 'checksum'])(
  'an agent killed during %s leaves half a stage, whose programs and files the next one removes',
  async (step) => {
    const child = runStageInChild(step);
    await eventually(() => child.exitCode !== null || child.signalCode !== null, 60_000);
    expect(child.signalCode).toBe('SIGKILL');
    const half = await loadState(rig.config.stateDir, 'restore-1');
    expect(half?.phase).toBe('staging');
    expect(existsSync(half?.trees[0]?.stage ?? '')).toBe(true);
    if (step === 'checksum') expect(processesOn(half?.trees[0]?.stage ?? '')).toHaveLength(1);
    await stageTask.recover?.(rig.agent, stageSpec(good), 'restore-1');
    expect(processesOn(half?.trees[0]?.stage ?? '')).toEqual([]);
  },
);

test('half a stage is begun again', async () => {
  const child = runStageInChild('extract');
  await eventually(() => child.signalCode === 'SIGKILL', 60_000);
  const half = await loadState(rig.config.stateDir, 'restore-1');
  writeFileSync(join(half?.trees[0]?.stage ?? '', 'left-over'), 'x');
  const done = await stage();
  expect(done.result).toMatchObject({ value: { tablesEqual: 6 } });
  expect(existsSync(join(half?.trees[0]?.stage ?? '', 'left-over'))).toBe(false);
  await rollbackTask.run(rig.agent, create(RollbackTaskSchema), taskOf('restore-1'));
  rmSync(join(rig.config.stateDir, 'restore'), { recursive: true });
});

/** Runs the real task in a process of its own that kills itself at the first sign of a step. */
function runStageInChild(step: string) {
  const input = join(rig.home, 'child.json');
  writeFileSync(input, JSON.stringify({ config: rig.config, part: good, step }));
  return spawn(process.execPath, ['-C', 'source', join(import.meta.dirname, 'stage-child.ts'), input], { stdio: 'inherit' });
}

const processesOn = (directory: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isAlive(Number(name)))
    .filter((pid) => existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory));

test.runIf(process.getuid?.() === 0)('a file system that is too small is refused before anything is written there', async () => {
  await onTmpfs('40m', async (agent, directory) => {
    await expect(stageTask.run(agent, stageSpec(good), taskOf('restore-1'))).rejects.toMatchObject({ code: 'SPACE_SHORT' });
    expect(readdirSync(directory)).toEqual(['data']);
  });
});

/** Programs of a stage, and an argument that tells their work on it from other calls. */
const WORK = {
  extracting: ['mbstream', '-x'],
  preparing: ['mariadb-backup', '--prepare'],
  opening: ['mariadbd', '--skip-grant-tables'],
} as const;

test.runIf(process.getuid?.() === 0).each(Object.entries(WORK))(
  'a file system that fills up while %s is told as that, and freed',
  async (what, [program, argument]) => {
    await onTmpfs('200m', async (agent, directory) => {
      const small = rewritten({ mariadb: { ...(good.part.mariadb as NonNullable<PartManifest['mariadb']>), dataBytes: 1 } });
      const fill = `dd if=/dev/zero of=${join(directory, 'data', 'ballast')} bs=64k 2>/dev/null`;
      const run = withProgram(`full-${what}`, program, `case " $* " in *" ${argument} "*) ${fill} ;; esac`, () =>
        stageTask.run(agent, stageSpec(small), taskOf('restore-1')),
      );
      await expect(run).rejects.toMatchObject({ code: 'DISK_FULL', message: expect.stringMatching(/extracted|opened/) });
      expect(readdirSync(directory)).toEqual(['data']);
    });
  },
);

/** Runs `use` while a program does something before it starts. */
async function withProgram<T>(name: string, program: string, before: string, use: () => Promise<T>): Promise<T> {
  const programs = join(rig.home, name);
  const present = process.env.PATH;
  mkdirSync(programs);
  replaceProgram(programs, program, `${before}\nPATH=\${PATH#*:} exec ${program} "$@"\n`);
  process.env.PATH = `${programs}:${present}`;
  try {
    return await use();
  } finally {
    process.env.PATH = present;
  }
}

/** Runs `use` with an agent whose server would have its data on a file system of that size. */
async function onTmpfs(size: string, use: (agent: Rig['agent'], directory: string) => Promise<void>): Promise<void> {
  const directory = testDirectory(`tmpfs-${size}`);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0755`, 'tmpfs', directory]);
  try {
    const datadir = join(directory, 'data');
    mkdirSync(datadir);
    execFileSync('chown', [serverOwner, datadir]);
    const defaultsFile = `${directory}.cnf`;
    writeFileSync(
      defaultsFile,
      readFileSync(rig.server.defaultsFile, 'utf8').replace(`datadir=${rig.server.datadir}`, `datadir=${datadir}`),
    );
    const mariadb = { ...rig.config.mariadb, defaultsFile, socket: join(directory, 's.sock') } as Rig['config']['mariadb'];
    await use(agentOf({ ...rig.config, mariadb }), directory);
  } finally {
    execFileSync('umount', [directory]);
  }
}
