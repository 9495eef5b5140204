import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { LoadBrmTaskSchema, StartEngineTaskSchema, StopEngineTaskSchema } from '@stillpoint/shared/proto';
import { type Clock, systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Agent } from '../../packages/agent/src/agent.ts';
import { loadBrmTask } from '../../packages/agent/src/columnstore/brm/load-task.ts';
import { openEngine } from '../../packages/agent/src/columnstore/discovery/index.ts';
import { checkEngineService } from '../../packages/agent/src/columnstore/service/check.ts';
import { refuseRunningEngine } from '../../packages/agent/src/columnstore/service/processes.ts';
import { stagedProcesses } from '../../packages/agent/src/columnstore/service/stages.ts';
import { startEngineTask } from '../../packages/agent/src/columnstore/service/start-task.ts';
import { stopEngineTask } from '../../packages/agent/src/columnstore/service/stop-task.ts';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { taskOf } from '../agent-restore/rig.ts';
import { type Double, type DoubleOptions, startDouble } from '../fixtures/columnstore/double.ts';
import { eventually } from '../harness/eventually.ts';
import { testDirectory } from '../harness/mariadb-server.ts';

let double: Double;
let agent: Agent;
let task: ReturnType<typeof taskOf>;
const path = process.env.PATH;

/** A node with an engine, and an agent that is called like a function. */
async function begin(options: DoubleOptions = {}, columnstore: Readonly<Record<string, unknown>> = {}): Promise<void> {
  double = await startDouble({ addresses: [hostname()], ...options });
  const [node] = double.nodes;
  const home = testDirectory('engine-service');
  const config = agentConfigSchema.parse({
    ...{ cluster: 'shop', node: 'pm1', stateDir: join(home, 'state'), repository: join(home, 'repository') },
    tls: { ca: '/none', cert: '/none', key: '/none' },
    columnstore: { ...node?.columnstore, ...columnstore },
  });
  agent = { config, clock: systemClock } as Agent;
  process.env.PATH = node?.env.PATH;
  task = taskOf('restore-1');
}
afterEach(async () => {
  process.env.PATH = path;
  await double.stop();
});

const service = () => agent.config.columnstore.service;
async function stages(): Promise<number[]> {
  const engine = await openEngine(agent.config);
  if (engine === undefined) throw new Error('the double has a Columnstore.xml');
  return [...new Set(stagedProcesses(engine, service()).map(({ stage }) => stage))].sort((a, b) => a - b);
}
const stop = (stage: number, last = false) => stopEngineTask.run(agent, create(StopEngineTaskSchema, { stage, last }), task);
const start = (stage: number, timeoutMs = 20_000) =>
  startEngineTask.run(agent, create(StartEngineTaskSchema, { stage, timeout: durationFromMs(timeoutMs) }), task);
const load = () => loadBrmTask.run(agent, create(LoadBrmTaskSchema), task);
const status = async (): Promise<string> => (await double.primary.run('dbrmctl', ['-v', 'status'])).stdout;
async function stopAll(): Promise<void> {
  for (const stage of (await stages()).reverse()) await stop(stage, stage === 1);
}
/** A clock on which waiting takes no time. */
function hasty(): Clock {
  let ms = 0;
  return {
    ...systemClock,
    monotonicMs: () => ms,
    sleep: async (pause, signal) => {
      ms += pause;
      await systemClock.sleep(0, signal);
    },
  };
}

describe('commands of one’s own', () => {
  beforeEach(() => begin());

  test('stop the engine stage by stage, and start it on what was loaded', async () => {
    expect(await stages()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    await expect(refuseRunningEngine(agent.config)).rejects.toMatchObject({
      code: 'ENGINE_RUNNING',
      message: expect.stringMatching(/On pm1 there run workernode \(process \d+\), controllernode .*DDLProc/),
    });
    const stopped = await stop(7);
    expect(stopped.result).toEqual({ case: 'stopEngine', value: { stopped: ['DDLProc'] } });
    expect(double.primary.pid('DDLProc')).toBeUndefined();
    expect(double.primary.pid('DMLProc')).toBeDefined();
    // Stopped ones are no failure.
    expect((await stop(7)).result).toEqual({ case: 'stopEngine', value: { stopped: [] } });
    for (const stage of [6, 5, 4, 3, 2]) await stop(stage);
    expect(double.primary.sharedMemory().length).toBeGreaterThan(0);
    await stop(1, true);
    expect(double.primary.sharedMemory()).toEqual([]);
    await refuseRunningEngine(agent.config);

    expect((await load()).result).toMatchObject({ case: 'loadBrm', value: { replayed: expect.any(Number) } });
    expect((await start(1)).result).toEqual({ case: 'startEngine', value: { running: ['workernode'] } });
    for (const stage of [2, 3, 4, 5, 6, 7]) await start(stage);
    expect(await status()).toBe('OK. (and the system is ready)\n');
    const { pid } = double.primary;
    const before = pid('PrimProc');
    await start(3);
    expect(pid('PrimProc')).toBe(before);
  });

  test('that say they have stopped a process that runs on are not believed', async () => {
    const config = {
      ...agent.config,
      columnstore: { ...agent.config.columnstore, service: { driver: 'commands', start: ['true'], stop: ['true'] } },
    };
    agent = { ...agent, config, clock: hasty() } as Agent;
    await expect(stop(7)).rejects.toMatchObject({
      code: 'ENGINE_SERVICE_FAILED',
      message: expect.stringMatching(/says that it has stopped, but there run DDLProc \(process \d+\)/),
    });
    await double.primary.stop('DDLProc');
    await expect(start(7)).rejects.toMatchObject({
      code: 'ENGINE_SERVICE_FAILED',
      message: 'The engine did not start: DDLProc did not run within 20000 ms',
    });
  });

  test('that fail are told with their last lines; those that are not there by name', async () => {
    const commands = (program: string[]) => {
      const config = {
        ...agent.config,
        columnstore: { ...agent.config.columnstore, service: { driver: 'commands', start: program, stop: program } },
      };
      agent = { ...agent, config } as Agent;
    };
    commands(['sh', '-c', 'echo "no permission for $0" >&2; exit 3']);
    await expect(stop(7)).rejects.toMatchObject({
      code: 'ENGINE_SERVICE_FAILED',
      message: 'DDLProc did not stop by sh: no permission for DDLProc',
    });
    commands(['/no/such/program']);
    await expect(stop(7)).rejects.toMatchObject({ code: 'ENGINE_SERVICE_FAILED', message: expect.stringContaining('/no/such/program') });
  });

  test('a bulk load that nobody has told keeps the last stage from ending', async () => {
    await double.createTable('shop.t');
    const loading = await double.load('shop.t');
    for (const stage of [7, 6, 5, 4, 3, 2]) await stop(stage);
    await expect(stop(1, true)).rejects.toMatchObject({
      code: 'ENGINE_SERVICE_FAILED',
      message: expect.stringMatching(/cpimport \(process \d+\)/),
    });
    await loading.kill();
    // The program that writes on each node lives on for a moment.
    await eventually(async () =>
      stop(1, true).then(
        () => true,
        () => false,
      ),
    );
  });

  test('a block resolution manager is not loaded under a running engine, nor without its current set', async () => {
    await expect(load()).rejects.toMatchObject({ code: 'ENGINE_RUNNING' });
    await stopAll();
    const engine = await openEngine(agent.config);
    const journal = `${engine?.topology.dbrmRoot}_journal`;
    renameSync(journal, `${journal}.away`);
    await expect(load()).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining(journal) });
    renameSync(`${journal}.away`, journal);
    writeFileSync(`${engine?.topology.dbrmRoot}_em`, 'nonsense');
    await expect(load()).rejects.toMatchObject({ code: 'BRM_FAILED', message: expect.stringContaining('Loading BRM snapshot failed') });
  });

  test('are looked for, and not run, by a check', async () => {
    const engine = await openEngine(agent.config);
    if (engine === undefined) throw new Error('the double has a Columnstore.xml');
    const { columnstore } = agent.config;
    const bin = join(double.primary.bin, 'engine-service');
    expect(await checkEngineService(engine, columnstore)).toBe(`Each process started by ${bin}, stopped by ${bin}`);
    const without = { ...columnstore, service: { driver: 'commands', start: ['/no/such'], stop: [bin] } } as typeof columnstore;
    await expect(checkEngineService(engine, without)).rejects.toMatchObject({
      code: 'ENGINE_SERVICE_FAILED',
      message: expect.stringContaining('/no/such'),
      hint: expect.stringContaining('columnstore.service'),
    });
  });
});

describe('mcsadmin', () => {
  beforeEach(() => begin({ generation: 'oam' }, { service: { driver: 'mcsadmin' } }));

  test('stops and starts the whole system in one stage, and resumes it when it comes up suspended', async () => {
    expect(await stages()).toEqual([1]);
    await double.primary.run('mcsadmin', ['suspendDatabaseWrites', 'y', 'WAIT']);
    await stop(1, true);
    await refuseRunningEngine(agent.config);
    await start(1);
    expect(double.state()).toMatchObject({ suspended: false });
    expect(task.logs).toEqual([expect.stringContaining('came up suspended')]);
    const calls = double.calls().filter(({ program }) => program === 'mcsadmin');
    expect(calls.map(({ args }) => args.join(' ').toLowerCase())).toEqual(
      expect.arrayContaining(['shutdownsystem y', 'startsystem', 'resumedatabasewrites y']),
    );
  });

  test('that asks what to do about an open transaction is taken for a refusal, and nothing is stopped', async () => {
    await double.createTable('shop.t');
    const session = double.session();
    await session.query('BEGIN');
    await session.query('INSERT INTO shop.t VALUES (1)');
    await expect(stop(1, true)).rejects.toMatchObject({
      code: 'ENGINE_SERVICE_FAILED',
      message: expect.stringMatching(/mcsadmin shutdownsystem did not succeed: it asked/),
    });
    expect(double.primary.pid('PrimProc')).toBeDefined();
    session.close();
  });
});

describe('systemd', () => {
  /** A systemctl that says which units there are, and writes down what it is asked for. */
  function standIn(unit: { readonly start: string; readonly stop: string; readonly enabled?: boolean }): () => string[] {
    const log = join(double.primary.directory, 'systemctl.log');
    const file = join(double.primary.bin, 'systemctl');
    writeFileSync(
      file,
      `#!/bin/sh
echo "$*" >>${log}
case "$*" in
  "start -- mariadb-columnstore") ${unit.start} ;;
  "stop -- mariadb-columnstore") ${unit.stop} ;;
  show*UnitFileState*) echo ${unit.enabled ? 'enabled' : 'disabled'} ;;
  show*ActiveState*) echo ${unit.enabled ? 'active' : 'inactive'} ;;
esac
`,
    );
    chmodSync(file, 0o755);
    return () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);
  }
  const ALL = 'workernode controllernode PrimProc WriteEngineServer ExeMgr DMLProc DDLProc';

  test('starts and stops a single node by the unit of the engine, and cmapi with it where that is enabled', async () => {
    await begin({}, { service: { driver: 'systemd' } });
    const each = (verb: string, order: string): string =>
      `for name in ${order}; do ${join(double.primary.bin, 'engine-service')} ${verb} $name; done`;
    const asked = standIn({ start: each('start', ALL), stop: each('stop', ALL.split(' ').reverse().join(' ')), enabled: true });
    await stop(1, true);
    await refuseRunningEngine(agent.config);
    double.loadBrm();
    await start(1);
    expect(await status()).toBe('OK. (and the system is ready)\n');
    const unit = 'mariadb-columnstore';
    expect(asked().filter((line) => !line.startsWith('show'))).toEqual([
      `stop -- ${unit}-cmapi`,
      `stop -- ${unit}`,
      `start -- ${unit}`,
      `start -- ${unit}-cmapi`,
    ]);
    const engine = await openEngine(agent.config);
    if (engine === undefined) throw new Error('the double has a Columnstore.xml');
    expect(await checkEngineService(engine, agent.config.columnstore)).toBe(`Started and stopped by systemctl, unit ${unit}`);
  });

  test('starts and stops cmapi, and has it start and stop the cluster', async () => {
    await begin({ cmapi: true }, { service: { driver: 'systemd' } });
    expect(await stages()).toEqual([1, 2]);
    // Something that looks like cmapi to whoever looks at processes; what answers is the double's.
    const pidFile = join(double.primary.directory, 'cmapi.pid');
    const file = join(double.primary.bin, 'systemctl');
    const loop = "sh -c 'while :; do sleep 0.1; done' -m cmapi_server";
    writeFileSync(
      file,
      `#!/bin/sh\ncase "$1" in start) ${loop} >/dev/null 2>&1 & echo $! >${pidFile} ;; stop) kill $(cat ${pidFile}) ;; esac\n`,
    );
    chmodSync(file, 0o755);
    await start(1);
    await expect(refuseRunningEngine(agent.config)).rejects.toMatchObject({ message: expect.stringMatching(/cmapi \(process \d+\)/) });
    double.stickCmapi(double.primary, true);
    await expect(stop(2)).rejects.toMatchObject({
      code: 'ENGINE_SERVICE_FAILED',
      message: "cmapi did not shut down the cluster: cmapi answered 422: Starting transaction isn't successful.",
    });
    double.stickCmapi(double.primary, false);
    await stop(2);
    await stop(1, true);
    await refuseRunningEngine(agent.config);
    await start(1);
    await start(2);
    expect(await status()).toBe('OK. (and the system is ready)\n');
    await stop(2);
    await stop(1, true);
  });

  test('cannot start several nodes that cmapi does not manage', async () => {
    await begin(
      { modules: [[1], [2]], addresses: [hostname(), hostname()], cmapi: false, started: false },
      { service: { driver: 'systemd' } },
    );
    standIn({ start: ':', stop: ':' });
    const engine = await openEngine(agent.config);
    if (engine === undefined) throw new Error('the double has a Columnstore.xml');
    await expect(checkEngineService(engine, agent.config.columnstore)).rejects.toMatchObject({
      code: 'ENGINE_SERVICE_FAILED',
      message: expect.stringContaining('through cmapi, which does not manage this one'),
    });
  });
});
