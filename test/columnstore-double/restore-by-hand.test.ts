import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { LAYOUT, type PartManifest, setDirectory } from '@stillpoint/shared/manifest';
import { DbrootStrategy } from '@stillpoint/shared/proto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Double, startDouble } from '../fixtures/columnstore/double.ts';
import type { DoubleNode } from '../fixtures/columnstore/double-node.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { type CapturedNode, capturedNode, SET, taken } from './captured-node.ts';
import { engineTree, layOut, pictureOf } from './dbroot-tree.ts';

/** Who owns the engine's data now: not whoever did when it was captured. */
const OWNER = { uid: 4711, gid: 4712 };

/** The commands are those of an administrator: only root may give files away. */
describe.runIf(process.getuid?.() === 0).each([
  ['under the lock', undefined],
  ['before, and changed since', { dbroots: [1, 3, 4].map((number) => ({ number, strategy: DbrootStrategy.PRECOPY })) }],
])('dbroots that were captured %s, restored by hand', (_, options) => {
  let double: Double;
  let home: string;
  let primary: CapturedNode;
  let other: CapturedNode;
  let part: PartManifest;
  let pictures: Record<number, string[]>;

  beforeAll(async () => {
    double = await startDouble({ started: false, modules: [[1, 3], [4]], addresses: Array(2).fill(hostname()), cmapi: false });
    home = testDirectory('engine-by-hand');
    for (const { number, path } of dbroots()) layOut(path, engineTree({ first: false, columns: 3, segmentBytes: 1_200_000 + number }));
    primary = await capturedNode(node(0), home);
    other = await capturedNode(node(1), join(home, 'other'));
    const change = (index: number) => (): void => {
      for (const { path } of options === undefined ? [] : node(index).dbroots) changeAll(path);
    };
    part = await taken(primary, options, change(0));
    await taken(other, options, change(1));
    pictures = Object.fromEntries(dbroots().map(({ number, path }) => [number, pictureOf(path)]));
  });
  afterAll(() => double?.stop());

  /** Everything is another than it was, owned by another. */
  beforeEach(() => {
    for (const { path } of dbroots()) {
      for (const name of readdirSync(dirname(path)))
        if (/(?:before-restore|coming)$/.test(name)) rmSync(join(dirname(path), name), { recursive: true });
      rmSync(path, { recursive: true, force: true });
      mkdirSync(path);
      writeFileSync(join(path, 'later'), '');
      chownSync(dirname(path), OWNER.uid, OWNER.gid);
    }
    writeFileSync(join(home, 'said'), '');
  });

  const node = (index: number): DoubleNode => {
    const found = double.nodes[index];
    if (found === undefined) throw new Error(`no node ${index}`);
    return found;
  };
  const dbroots = () => double.nodes.flatMap((each) => each.dbroots);

  /** Runs commands as they stand there, and stops at the first that fails. Programs of the engine say that they were called. */
  const run = (commands: string): string => {
    const script = join(home, 'commands.sh');
    const programs = `pgrep() { return 1; }\nclearShm() { echo clearShm >>${home}/said; }\n`;
    writeFileSync(script, `set -eo pipefail\n${programs}${commands}\n`);
    const { status, stderr } = spawnSync('bash', [script], { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
    return status === 0 ? '' : `${status}: ${stderr}`;
  };
  const instructions = ({ agent }: CapturedNode): string => {
    const { repository, cluster } = agent.config;
    const text = readFileSync(join(setDirectory(repository, cluster, SET), LAYOUT.howToRestore), 'utf8');
    return text.replace(/^WORK=.*$/gm, `WORK=${home}/work-${agent.config.node}`);
  };

  const isRestored = (path: string, number: number): void => {
    expect(pictureOf(path)).toEqual(pictures[number]);
    expect(readdirSync(`${path}.before-restore`)).toEqual(['later']);
    for (const place of [path, join(path, 'bulkRollback'), join(path, 'bulkRollback/3001')]) {
      expect([place, statSync(place).uid, statSync(place).gid]).toEqual([place, OWNER.uid, OWNER.gid]);
    }
  };

  test('with the instructions that lie beside them, on the primary', () => {
    expect(run(instructions(primary))).toBe('');
    for (const { number, path } of node(0).dbroots) isRestored(path, number);
    expect(readFileSync(join(home, 'said'), 'utf8')).toBe('clearShm\n');
    expect(existsSync(join(`${home}/work-pm1.configuration`, node(0).configFile))).toBe(true);
    // Which set, and as whom, stands there to be run where no unit does it.
    expect(instructions(primary)).toContain('load_brm "$DBRM"/BRM_saves\n');
  });

  test('with the instructions that lie beside them, on another node, where the place of the block resolution manager is emptied', () => {
    const dbrm = join(node(0).dataDirectory, 'data1/systemFiles/dbrm');
    mkdirSync(dbrm, { recursive: true });
    writeFileSync(join(dbrm, 'BRM_saves_em'), 'stale');
    expect(run(instructions(other))).toBe('');
    const [{ number, path } = { number: 0, path: '' }] = node(1).dbroots;
    isRestored(path, number);
    expect(readdirSync(dbrm)).toEqual([]);
    expect(statSync(dbrm).uid).toBe(OWNER.uid);
    expect(readFileSync(join(`${dbrm}.before-restore`, 'BRM_saves_em'), 'utf8')).toBe('stale');
  });

  test('on a host on which there is nothing yet', () => {
    for (const { path } of node(0).dbroots) rmSync(path, { recursive: true });
    expect(run(instructions(primary))).toBe('');
    for (const { number, path } of node(0).dbroots) expect(pictureOf(path)).toEqual(pictures[number]);
  });

  test('with the commands of the manual page', () => {
    const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'restore-by-hand.md'), 'utf8');
    const chapter = page.split(/^## .*ColumnStore$/m)[1] ?? '';
    const [variables = '', ...steps] = [...chapter.matchAll(/^```bash\n([\s\S]*?)^```$/gm)].map(([, block]) => block ?? '');
    for (const { number, path } of node(0).dbroots) {
      const values: Record<string, string> = {
        NUMBER: String(number),
        DBROOT: path,
        DBRM: join(path, 'systemFiles/dbrm'),
        ENGINE_OWNER: `${OWNER.uid}:${OWNER.gid}`,
      };
      const names = [...variables.matchAll(/^(\w+)=/gm)].map(([, name]) => name ?? '');
      expect(names.sort()).toEqual(Object.keys(values).sort());
      const set = names.map((name) => `${name}=${values[name] ?? ''}`).join('\n');
      expect(run([`PART=${primary.part}`, set, ...steps].join('\n'))).toBe('');
      isRestored(path, number);
    }
  });

  test('not when a byte was changed, and not while the engine runs: nothing is touched', () => {
    const shard = join(primary.part, LAYOUT.dbroot(1, 0));
    const good = readFileSync(shard);
    const bad = Buffer.from(good);
    bad.writeUInt8(bad.readUInt8(500) ^ 1, 500);
    writeFileSync(shard, bad);
    expect(run(instructions(primary))).toContain('did NOT match');
    writeFileSync(shard, good);
    const running = `pgrep() { echo '4711 PrimProc'; }\n${instructions(primary)}`;
    expect(run(running)).not.toBe('');
    for (const { path } of node(0).dbroots) expect(readdirSync(path)).toEqual(['later']);
    expect(readFileSync(join(home, 'said'), 'utf8')).toBe('');
  });

  test('not by the manual page when a file is not what the list says', () => {
    const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'restore-by-hand.md'), 'utf8');
    const block = /^(zstd -dc "\$PART"\/dbroot\$NUMBER\.files\S* \| grep[\s\S]*?)^```$/m.exec(page)?.[1] ?? 'no such block';
    const [{ path } = { path: '' }] = node(0).dbroots;
    const head = `PART=${primary.part}\nNUMBER=1\nDBROOT=${path}\n`;
    const unpack = /^(zstd -dc "\$PART"\/dbroot\$NUMBER\.files\S* \| sed[\s\S]*?)^```$/m.exec(page)?.[1] ?? 'no such block';
    expect(run(`${head}ENGINE_OWNER=0:0\n${unpack}`)).toBe('');
    expect(run(`${head}${block}`)).toBe('');
    writeFileSync(join(`${path}.coming`, 'bulkRollback/3001'), 'other');
    expect(run(`${head}${block}`)).toContain('did NOT match');
    renameSync(join(`${path}.coming`, 'bulkRollback/3001'), join(`${path}.coming`, 'bulkRollback/3002'));
    expect(run(`${head}${block}`)).toContain('No such file');
    expect(part.columnstore?.dbroots).toHaveLength(2);
  });
});

/** Files that are written, gone, new, and something else than they were. */
function changeAll(root: string): void {
  rmSync(join(root, 'bulkRollback/3001_data'), { recursive: true, force: true });
  writeFileSync(join(root, 'bulkRollback/3001_data'), 'a file in the place of a directory');
  rmSync(join(root, 'versionbuffer.cdf'), { recursive: true, force: true });
  mkdirSync(join(root, 'versionbuffer.cdf'));
  writeFileSync(join(root, 'versionbuffer.cdf/within'), 'a directory in the place of a file');
  rmSync(join(root, '000.dir/000.dir/011.dir/001.dir'), { recursive: true, force: true });
  writeFileSync(join(root, '000.dir/000.dir/011.dir/000.dir/000.dir/FILE001.cdf'), 'shorter');
  writeFileSync(join(root, 'with a blank'), 'new');
}
