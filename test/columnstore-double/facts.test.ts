import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type CheckResult, CheckStatus, ColumnstoreGeneration, EngineMode, Role } from '@stillpoint/shared/proto';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checkColumnstore } from '../../packages/agent/src/columnstore/check.ts';
import { describeColumnstore } from '../../packages/agent/src/columnstore/facts.ts';
import { runningProcesses } from '../../packages/agent/src/columnstore/service/processes.ts';
import { type AgentConfig, agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { accountName, ownerOf } from '../../packages/agent/src/host/index.ts';
import { describeNode } from '../../packages/agent/src/server/describe.ts';
import type { ServiceParts } from '../../packages/agent/src/server/service.ts';
import { type Double, type DoubleOptions, startDouble } from '../fixtures/columnstore/double.ts';

const realPath = process.env.PATH;
const { signal } = new AbortController();

/** What an agent on the only node of a double would tell. */
interface Looked {
  readonly double: Double;
  readonly config: AgentConfig;
  facts(): ReturnType<typeof describeColumnstore>;
  check(purpose?: 'backup' | 'restore'): Promise<Map<string, CheckResult>>;
  failures(purpose?: 'backup' | 'restore'): Promise<Record<string, string>>;
}

async function look(options: DoubleOptions): Promise<Looked> {
  const double = await startDouble(options);
  const { columnstore, env, directory } = double.primary;
  const config = agentConfigSchema.parse({
    ...{ cluster: 'test', node: 'n1', stateDir: join(directory, 'state'), repository: join(directory, 'repository') },
    tls: { ca: '/nowhere', cert: '/nowhere', key: '/nowhere' },
    columnstore,
  });
  process.env.PATH = env.PATH;
  // Another engine may run on this machine for a test of its own.
  const find = async (names: readonly string[]) => {
    const own = Object.values(double.state().nodes[0]?.processes ?? {}).map((process) => process?.pid);
    return (await runningProcesses(names)).filter(({ pid }) => own.includes(pid));
  };
  const check = async (purpose: 'backup' | 'restore' = 'backup') =>
    new Map((await checkColumnstore(config, purpose, signal, find)).map((result) => [result.name, result]));
  return {
    double,
    config,
    facts: () => describeColumnstore(config, signal, find),
    check,
    failures: async (purpose) =>
      Object.fromEntries(
        [...(await check(purpose))].flatMap(([name, { status, code }]) => (status === CheckStatus.FAILED ? [[name, code]] : [])),
      ),
  };
}

describe('an engine of a single node', () => {
  let engine: Looked;
  beforeAll(async () => {
    engine = await look({ modules: [[1, 4]] });
  });
  afterAll(async () => {
    process.env.PATH = realPath;
    await engine?.double.stop();
  });

  test('is described', async () => {
    const { primary } = engine.double;
    const facts = await engine.facts();
    const pid = (name: Parameters<typeof primary.pid>[0]): number => primary.pid(name) ?? 0;
    expect(facts).toMatchObject({
      ...{ configFile: primary.configFile, generation: ColumnstoreGeneration.V5, configRevision: 0n, module: 1, primaryModule: 1 },
      modules: [{ id: 1, addresses: ['127.0.0.1'], hostNames: ['pm1'], dbroots: [1, 4], enabled: true }],
      ...{ controllerHost: 'pm1', storage: 'local', suspendDriver: 'dbrmctl', serviceDriver: 'commands', loadsBrm: true },
      owner: await accountName((await ownerOf(primary.dataDirectory)) ?? { uid: 0, gid: 0 }),
      ...{ mode: EngineMode.READ_WRITE, status: 'OK. (and the system is ready)', ready: true, contradictions: [], missing: [] },
      processes: [
        { name: 'workernode', stage: 1, pid: pid('workernode') },
        { name: 'controllernode', stage: 2, pid: pid('controllernode') },
        { name: 'PrimProc', stage: 3, pid: pid('PrimProc') },
        { name: 'WriteEngineServer', stage: 4, pid: pid('WriteEngineServer') },
        { name: 'ExeMgr', stage: 5, pid: pid('ExeMgr') },
        { name: 'DMLProc', stage: 6, pid: pid('DMLProc') },
        { name: 'DDLProc', stage: 7, pid: pid('DDLProc') },
      ],
    });
    expect(facts?.processes.every((process) => process.pid > 0)).toBe(true);
    expect(facts?.dbroots).toMatchObject([
      { number: 1, path: primary.dbroots[0]?.path, owned: true, isMountPoint: false },
      { number: 4, path: primary.dbroots[1]?.path, owned: true, isMountPoint: false },
    ]);
    expect(facts?.dbroots[0]?.bytes).toBeGreaterThan(8192n);
    expect(facts?.dbroots[0]?.freeBytes).toBeGreaterThan(0n);
  });

  test('gives its node the role of a performance module', async () => {
    const { config } = engine;
    const parts = { agent: { config, clock: systemClock }, claims: { current: () => undefined }, repository: { freeBytes: async () => 0 } };
    expect(await describeNode(parts as unknown as ServiceParts, signal)).toMatchObject({ roles: [Role.PM], columnstore: { module: 1 } });
    const file = join(engine.double.primary.dataDirectory, 'local', 'module');
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, 'pm9');
    expect(await describeNode(parts as unknown as ServiceParts, signal)).toMatchObject({ roles: [], columnstore: { module: 0 } });
    writeFileSync(file, before);
  });

  test('passes every check', async () => {
    const results = await engine.check();
    expect([...results.keys()]).toEqual([
      'columnstore.configuration',
      'columnstore.dbroots',
      'columnstore.storage',
      'columnstore.account',
      'columnstore.programs',
      'columnstore.engine',
    ]);
    for (const result of results.values()) expect(result).toMatchObject({ status: CheckStatus.OK, code: '', hint: '' });
    expect(await engine.failures('restore')).toEqual({});
  });

  test('that somebody has set read-only fails a backup, and suits a restore', async () => {
    await engine.double.primary.run('dbrmctl', ['readonly']);
    expect(await engine.facts()).toMatchObject({ mode: EngineMode.READ_ONLY, status: 'DBRM is currently Read Only!' });
    expect(await engine.failures()).toEqual({ 'columnstore.engine': 'ENGINE_READ_ONLY' });
    expect(await engine.failures('restore')).toEqual({});
    await engine.double.primary.run('dbrmctl', ['readwrite']);
  });

  test('without controllernode fails a backup twice over: nobody answers, and it belongs here', async () => {
    await engine.double.primary.kill('controllernode');
    const facts = await engine.facts();
    expect(facts).toMatchObject({ mode: EngineMode.UNREACHABLE, ready: false, contradictions: [] });
    expect(facts?.missing).toEqual([expect.stringContaining('controllernode belongs')]);
    expect(facts?.processes.filter(({ pid }) => pid === 0)).toMatchObject([{ name: 'controllernode' }]);
    expect(await engine.failures()).toEqual({ 'columnstore.dbroots': 'COLUMNSTORE_CONFIG', 'columnstore.engine': 'ENGINE_NOT_READY' });
    expect(await engine.failures('restore')).toEqual({});
    await engine.double.stopEngine('bare');
    await engine.double.startEngine();
  });

  test('that is stopped fails a backup, and suits a restore', async () => {
    await engine.double.stopEngine('clean');
    expect(await engine.facts()).toMatchObject({ mode: EngineMode.UNREACHABLE, missing: [], module: 1 });
    expect(await engine.failures()).toEqual({ 'columnstore.engine': 'ENGINE_NOT_READY' });
    expect(await engine.failures('restore')).toEqual({});
    engine.double.loadBrm();
    await engine.double.startEngine();
  });

  test('whose dbroot is gone fails a backup, and suits a restore', async () => {
    const path = engine.double.primary.dbroots[1]?.path ?? '';
    renameSync(path, `${path}.away`);
    expect(await engine.facts()).toMatchObject({
      missing: [expect.stringContaining(path)],
      contradictions: [],
      dbroots: [{}, { bytes: 0n }],
    });
    expect(await engine.failures()).toEqual({ 'columnstore.dbroots': 'COLUMNSTORE_CONFIG' });
    expect(await engine.failures('restore')).toEqual({});
    renameSync(`${path}.away`, path);
  });

  test('with data in object storage is refused', async () => {
    const file = join(dirname(engine.double.primary.configFile), 'storagemanager.cnf');
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, before.replace('LocalStorage', 'S3'));
    expect(await engine.failures()).toEqual({ 'columnstore.storage': 'COLUMNSTORE_UNSUPPORTED' });
    expect(await engine.facts()).toMatchObject({ storage: 'storagemanager' });
    writeFileSync(file, before);
  });

  test('without its programs fails, and each is named', async () => {
    const { bin } = engine.double.primary;
    for (const name of ['save_brm', 'clearShm']) renameSync(join(bin, name), join(bin, `${name}.away`));
    expect((await engine.check()).get('columnstore.programs')).toMatchObject({
      ...{ status: CheckStatus.FAILED, code: 'TOOL_MISSING', message: 'Not found: save_brm, clearShm' },
    });
    for (const name of ['save_brm', 'clearShm']) renameSync(join(bin, `${name}.away`), join(bin, name));
  });

  describe('with a configuration that', () => {
    let before: string;
    const file = (): string => engine.double.primary.configFile;
    beforeAll(() => {
      before = readFileSync(file(), 'utf8');
    });
    afterEach(() => {
      rmSync(file(), { recursive: true, force: true });
      writeFileSync(file(), before);
    });

    test('is cut off is told as such, by the checks and in the description', async () => {
      writeFileSync(file(), before.slice(0, -30));
      expect(await engine.failures()).toEqual({ 'columnstore.configuration': 'COLUMNSTORE_CONFIG' });
      expect(await engine.facts()).toMatchObject({ configFile: file(), module: 0, contradictions: [expect.stringContaining(file())] });
    });

    test('cannot be read is told as such too', async () => {
      rmSync(file());
      mkdirSync(file());
      expect(await engine.facts()).toMatchObject({ configFile: file(), contradictions: [expect.stringContaining('cannot be read')] });
    });

    test('is that of another node names both sides', async () => {
      writeFileSync(file(), before.replace('>127.0.0.1</ModuleIPAddr1-1-3>', '>192.0.2.1</ModuleIPAddr1-1-3>'));
      expect((await engine.check()).get('columnstore.configuration')).toMatchObject({
        ...{
          status: CheckStatus.FAILED,
          code: 'COLUMNSTORE_CONFIG',
          message: expect.stringMatching(/pm1 at 192\.0\.2\.1.*but this host is/),
        },
      });
      expect(await engine.facts()).toMatchObject({ module: 0, contradictions: [expect.stringContaining('192.0.2.1')] });
    });

    test('is not there is no failure: there is no engine', async () => {
      rmSync(file());
      expect(await engine.facts()).toBeUndefined();
      expect(await engine.failures()).toEqual({});
    });
  });
});

test.each([
  ['oam', ColumnstoreGeneration.OAM, '1.2.5'],
  ['1.4', ColumnstoreGeneration.V1_4, ''],
] as const)('an engine of generation %s is described and checked, and needs mcsadmin', async (generation, told, version) => {
  const engine = await look({ generation });
  try {
    expect(await engine.facts()).toMatchObject({
      ...{
        generation: told,
        version,
        suspendDriver: 'mcsadmin',
        mode: EngineMode.READ_WRITE,
        ready: true,
        contradictions: [],
        missing: [],
      },
    });
    expect(await engine.failures()).toEqual({});
    // The double has no use for it; without it and mcsadmin, 1.4 would look like 5.
    writeFileSync(join(engine.double.primary.bin, 'ProcMgr'), '#!/bin/sh\n', { mode: 0o755 });
    rmSync(join(engine.double.primary.bin, 'mcsadmin'));
    expect((await engine.check('restore')).get('columnstore.programs')).toMatchObject({
      ...{ status: CheckStatus.FAILED, code: 'TOOL_MISSING', message: expect.stringMatching(/^Not found: (\S+\/)?mcsadmin$/) },
    });
  } finally {
    process.env.PATH = realPath;
    await engine.double.stop();
  }
});

test('an engine of 22.08 has no ExeMgr', async () => {
  const engine = await look({ generation: '22.08' });
  try {
    const facts = await engine.facts();
    expect(facts).toMatchObject({ generation: ColumnstoreGeneration.V22_08, ready: true });
    expect(facts?.processes.map(({ name }) => name)).not.toContain('ExeMgr');
    expect(await engine.failures()).toEqual({});
  } finally {
    process.env.PATH = realPath;
    await engine.double.stop();
  }
});
