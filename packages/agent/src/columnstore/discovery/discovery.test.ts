import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { addressOf, type EngineFileOptions, type EngineFiles, engineFiles } from '../../../../../test/harness/engine-files.ts';
import { testDirectory } from '../../../../../test/harness/mariadb-server.ts';
import { ownAccount } from '../../host/index.ts';
import type { Engine } from '../types.ts';
import { contradictionsOf } from './contradictions.ts';
import { missingHere, openEngine } from './index.ts';
import { releaseOf } from './release.ts';

const realPath = process.env.PATH;
let files: EngineFiles | undefined;
afterEach(() => {
  process.env.PATH = realPath;
  files?.remove();
});

const SINGLE: EngineFileOptions = { modules: [{ id: 1, address: '127.0.0.1', hostName: 'localhost', dbroots: [1] }] };
/** This host is pm2. */
const CLUSTER: EngineFileOptions = {
  modules: [
    { id: 1, dbroots: [1] },
    { id: 2, hostName: hostname(), dbroots: [2, 5] },
    { id: 3, dbroots: [] },
  ],
  module: 'pm2\n',
};
/** The same with this host as pm1. */
const PRIMARY: EngineFileOptions = {
  modules: [
    { id: 1, hostName: hostname(), dbroots: [1] },
    { id: 2, dbroots: [2] },
  ],
};
const NONE = () => Promise.resolve([]);
const running =
  (...names: string[]) =>
  (wanted: readonly string[]) =>
    Promise.resolve(names.filter((name) => wanted.includes(name)).map((name) => ({ name, pid: 4711 })));

async function opened(options: EngineFileOptions): Promise<Engine> {
  files = engineFiles(options);
  const engine = await openEngine(files.config, NONE);
  if (engine === undefined) throw new Error('there is an engine');
  return engine;
}

const refused = (looking: Promise<unknown>, message: string) =>
  expect(looking).rejects.toMatchObject({ code: 'COLUMNSTORE_CONFIG', message: expect.stringContaining(message) });

describe('the engine of a node', () => {
  test('is a single node as its packages make it', async () => {
    const engine = await opened(SINGLE);
    const { configFile, dataDirectory, dbroot } = files as EngineFiles;
    expect(engine).toMatchObject({
      ...{ configFile, dataDirectory, module: 1, isPrimary: true, contradictions: [] },
      configSha256: createHash('sha256').update(readFileSync(configFile)).digest('hex'),
      owned: [{ number: 1, path: dbroot(1) }],
      owner: ownAccount(),
    });
    expect(await missingHere(engine, NONE)).toEqual([]);
  });

  test('is the module that local/module names, with several dbroots, and not the primary', async () => {
    const engine = await opened(CLUSTER);
    expect(engine).toMatchObject({ module: 2, isPrimary: false, contradictions: [] });
    expect(engine.owned.map(({ number }) => number)).toEqual([2, 5]);
    expect(engine.topology.primaryModule).toBe(1);
  });

  test('may own no dbroot', async () => {
    expect(
      await opened({
        ...CLUSTER,
        modules: [
          { id: 1, dbroots: [1] },
          { id: 2, hostName: hostname(), dbroots: [] },
        ],
      }),
    ).toMatchObject({
      ...{ module: 2, owned: [], contradictions: [] },
    });
  });

  test('is none without the file', async () => {
    files = engineFiles(SINGLE);
    rmSync(files.configFile);
    expect(await openEngine(files.config, NONE)).toBeUndefined();
  });

  test('cannot be told from a file that cannot be read', async () => {
    for (const name of ['columnstore/Columnstore.xml', 'columnstore/storagemanager.cnf', 'data/local/module']) {
      files = engineFiles(SINGLE);
      const path = join(files.directory, name);
      rmSync(path, { force: true });
      mkdirSync(path);
      await refused(openEngine(files.config, NONE), `${path} cannot be read`);
      files.remove();
    }
  });

  test('has its data in object storage only where storagemanager.cnf says so', async () => {
    files = engineFiles(SINGLE);
    const storage = async (text: string) => {
      files?.write('columnstore/storagemanager.cnf', text);
      return (await openEngine((files as EngineFiles).config, NONE))?.topology.storage;
    };
    expect(await storage('[ObjectStorage]\n# service = S3\nservice = LocalStorage\n')).toBe('local');
    expect(await storage('[Other]\nservice = S3\n[ObjectStorage]\nservice = LocalStorage\n')).toBe('local');
    expect(await storage('[ObjectStorage]\nservice_x = 1\n  service=s3\n')).toBe('storagemanager');
  });
});

describe('which module a node is', () => {
  test('is pm1 without local/module, as the engine takes it', async () => {
    expect(await opened({ ...SINGLE, module: undefined })).toMatchObject({ module: 1, contradictions: [] });
  });

  test('is none for a user module that the file has: it owns no data', async () => {
    const user = '<ModuleIPAddr1-1-2>192.0.2.9</ModuleIPAddr1-1-2>';
    expect(await opened({ ...CLUSTER, module: 'um1', moduleConfig: user })).toMatchObject({ module: 0, owned: [], contradictions: [] });
    files?.remove();
    expect((await opened({ ...CLUSTER, module: 'um2', moduleConfig: user })).contradictions).toHaveLength(1);
  });

  test.each([
    ['a module that the file does not have', { module: 'pm4' }, 'says pm4, but', 'names pm1, pm2, pm3'],
    ['no word', { module: '' }, 'says nothing, but', 'names pm1, pm2, pm3'],
    ['another host', { module: 'pm3' }, 'says pm3, and', `has pm3 at ${addressOf(3)}, but this host is ${hostname()}`],
    ['nothing, and pm1 is another host', { module: undefined }, 'is missing, which stands for pm1, and', `has pm1 at ${addressOf(1)}, but`],
  ])('is in doubt when local/module names %s', async (_, changes, one, other) => {
    const { module, isPrimary, owned, contradictions } = await opened({ ...CLUSTER, ...changes });
    expect({ module, isPrimary, owned }).toEqual({ module: 0, isPrimary: false, owned: [] });
    expect(contradictions).toEqual([expect.stringContaining(one)]);
    expect(contradictions[0]).toContain(other);
    expect(contradictions[0]).toContain(files?.configFile);
  });

  test('is in doubt in a cluster whose file says localhost: that is every host', async () => {
    const modules = [
      { id: 1, address: '127.0.0.1', hostName: 'localhost', dbroots: [1] },
      { id: 2, dbroots: [2] },
    ];
    expect(await opened({ modules })).toMatchObject({
      module: 0,
      contradictions: [expect.stringContaining('pm1 at 127.0.0.1, localhost')],
    });
  });
});

describe('the file and the node disagree', () => {
  test('about the host of controllernode, which the file has at another module than dbroot 1', async () => {
    const { contradictions } = await opened({ ...CLUSTER, controller: addressOf(3) });
    expect(contradictions).toEqual([expect.stringMatching(/at 192\.0\.2\.3, which is pm3, but dbroot 1 on pm1$/)]);
  });

  test('not about a controllernode that is named by any address or host name of its module', async () => {
    const second = '<ModuleIPAddr1-2-3>192.0.2.77</ModuleIPAddr1-2-3><ModuleHostName1-2-3>Mcs-One</ModuleHostName1-2-3>';
    for (const controller of [addressOf(1), '192.0.2.77', 'mcs-one', hostname()]) {
      expect((await opened({ ...PRIMARY, controller, moduleConfig: second })).contradictions).toEqual([]);
      files?.remove();
    }
  });

  test('about a controllernode at an address that is no module and not the primary', async () => {
    expect((await opened({ ...PRIMARY, controller: '192.0.2.200' })).contradictions).toEqual([
      expect.stringMatching(/at 192\.0\.2\.200, which does not lead to this host, but dbroot 1 on pm1, which is this host$/),
    ]);
    files?.remove();
    // Which host that is, a node that is not the primary cannot tell.
    expect((await opened({ ...CLUSTER, controller: '192.0.2.200' })).contradictions).toEqual([]);
  });

  test('about a controllernode that runs where it does not belong', async () => {
    const engine = await opened(CLUSTER);
    expect(await contradictionsOf(engine, running('controllernode'))).toEqual([
      expect.stringMatching(/^controllernode runs on this node \(process 4711\), but .*Columnstore\.xml has dbroot 1 on pm1/),
    ]);
    expect(await contradictionsOf(engine, running('PrimProc'))).toEqual([]);
    files?.remove();
    expect(await contradictionsOf(await opened(PRIMARY), running('controllernode'))).toEqual([]);
  });

  test('about the place of the block resolution manager, unless a link leads to it', async () => {
    const elsewhere = join(testDirectory('elsewhere'), 'dbrm', 'BRM_saves');
    const { contradictions, topology } = await opened({ ...SINGLE, dbrmRoot: elsewhere });
    expect(contradictions).toEqual([expect.stringMatching(/has DBRMRoot in \S+dbrm, but dbroot 1 in \S+data1/)]);
    mkdirSync(join(topology.dbroots.get(1) ?? '', 'dbrm'));
    symlinkSync(join(topology.dbroots.get(1) ?? '', 'dbrm'), join(elsewhere, '..'));
    expect((await openEngine((files as EngineFiles).config, NONE))?.contradictions).toEqual([]);
  });
});

describe('missing on a node', () => {
  test('is a dbroot that is not there, or is no directory', async () => {
    const engine = await opened(CLUSTER);
    const { dbroot } = files as EngineFiles;
    rmSync(dbroot(2), { recursive: true });
    renameSync(dbroot(5), `${dbroot(5)}.away`);
    writeFileSync(dbroot(5), '');
    expect(engine.contradictions).toEqual([]);
    expect(await missingHere(engine, NONE)).toEqual([
      expect.stringMatching(/dbroot 2 on this node in \S+data2, but there is no such directory$/),
      expect.stringMatching(/dbroot 5 on this node in \S+data5, but that is no directory$/),
    ]);
  });

  test('is data in the first dbroot, and in no other', async () => {
    const engine = await opened({ ...SINGLE, modules: [{ id: 1, address: '127.0.0.1', dbroots: [1, 2] }] });
    rmSync(join((files as EngineFiles).dbroot(1), '000.dir'), { recursive: true });
    expect(await missingHere(engine, NONE)).toEqual([
      expect.stringMatching(/data1, but there is no data of the engine in it \(000\.dir\)$/),
    ]);
  });

  test('is controllernode beside the rest of the engine, on the primary', async () => {
    const primary = await opened(PRIMARY);
    expect(await missingHere(primary, running('PrimProc'))).toEqual([
      expect.stringMatching(/where controllernode belongs, but that does not run, and PrimProc does \(process 4711\)$/),
    ]);
    expect(await missingHere(primary, running('PrimProc', 'controllernode'))).toEqual([]);
    expect(await missingHere(primary, running('DMLProc'))).toEqual([]);
    files?.remove();
    expect(await missingHere(await opened(CLUSTER), running('PrimProc'))).toEqual([]);
  });
});

describe('the release', () => {
  const release = async (...programs: string[]) => {
    files = engineFiles(SINGLE);
    process.env.PATH = files.program(...programs);
    return releaseOf(files.configFile);
  };

  test.each([
    ['1.4', ['mcsadmin', 'ExeMgr']],
    ['1.4', ['ProcMgr', 'ExeMgr']],
    ['5', ['ExeMgr', 'PrimProc']],
    ['22.08', ['PrimProc']],
  ])('is of generation %s with %s', async (generation, programs) => {
    expect(await release(...programs)).toEqual({ generation, version: '' });
  });

  test('before 1.4 has everything below one directory', async () => {
    files = engineFiles({ ...SINGLE, layout: 'oam' });
    process.env.PATH = files.program('ExeMgr');
    expect(await releaseOf(files.configFile)).toMatchObject({ generation: '5' });
    files.write('columnstore/bin/ProcMgr', '');
    expect(await releaseOf(files.configFile)).toMatchObject({ generation: '5' });
    symlinkSync('/bin/true', join(files.dataDirectory, 'bin', 'ProcMgr.true'));
    renameSync(join(files.dataDirectory, 'bin', 'ProcMgr.true'), join(files.dataDirectory, 'bin', 'ProcMgr'));
    expect(await releaseOf(files.configFile)).toEqual({ generation: 'oam', version: '' });
    files.write('columnstore/releasenum', 'version=1.2.5\nrelease=1\n');
    expect(await openEngine({ columnstore: { ...files.config.columnstore, dataDirectory: '/nowhere' } }, NONE)).toMatchObject({
      ...{ generation: 'oam', version: '1.2.5', dataDirectory: files.dataDirectory, module: 1 },
    });
  });
});
