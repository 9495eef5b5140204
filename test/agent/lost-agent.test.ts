import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { closeGate, makePrograms } from '../harness/gates.ts';
import { startServer, type TestServer, testDirectory } from '../harness/mariadb-server.ts';
import { descendants, guardProcesses, isAlive, ownProcesses } from '../harness/processes.ts';
import { atGate } from './gate-rig.ts';

let server: TestServer;
let programs: string;
const agents: ChildProcess[] = [];

beforeAll(async () => {
  guardProcesses();
  programs = testDirectory('programs');
  makePrograms(programs);
  server = await startServer({ name: 'lost-agent' });
  await server.sql(`
    CREATE DATABASE d; CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARBINARY(600)) ENGINE=InnoDB;
    INSERT INTO d.t (v) SELECT CONCAT(SHA2(seq, 512), SHA2(-seq, 512), SHA2(7 * seq, 512)) FROM d.seq_1_to_40000;
    CREATE TABLE d.notes (v INT) ENGINE=MyISAM;
    CREATE DATABASE stillpoint; CREATE TABLE stillpoint.gate (closed INT) ENGINE=MyISAM`);
});
afterEach(() => {
  for (const agent of agents.splice(0)) agent.kill('SIGKILL');
});
afterAll(() => server?.remove());

/** Starts an agent and waits until it has the lock, or a copy at the gate. Gives what it has said so far. */
async function startAgent(
  mode: 'hold' | 'capture' | 'gate' | 'opened',
  leaseMs = 10_000,
  until = 'held',
): Promise<{ agent: ChildProcess; said: () => string }> {
  const { directory, defaultsFile, socket } = server;
  const argument = JSON.stringify({ place: { directory, defaultsFile, socket }, mode, leaseMs });
  const program = fileURLToPath(new URL('fixtures/agent.ts', import.meta.url));
  const env = { ...process.env, PATH: `${programs}:${process.env.PATH}` };
  const agent = spawn(process.execPath, ['-C', 'source', program, argument], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  agents.push(agent);
  let text = '';
  agent.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await eventually(() => text.includes(until));
  return { agent, said: () => text };
}

const write = () => server.sql('INSERT INTO d.t (v) VALUES (1)');
const stalled = async (): Promise<boolean> =>
  (await server.sql("SELECT 1 FROM information_schema.processlist WHERE state = 'Waiting for backup lock'")).length > 0;
/** What waits for nothing but mariadb-backup at the gate. */
const writeNote = () => server.sql('INSERT INTO d.notes VALUES (1)');
const tools = () => ownProcesses().filter(({ argv }) => /mariadb-backup|zstd/.test(argv.join(' ')));

test('a frozen agent loses its lock to the server, and finds out when it thaws', async () => {
  const { agent, said } = await startAgent('hold', 2_000);
  agent.kill('SIGSTOP');
  const writing = write();
  await eventually(stalled);
  await writing;
  agent.kill('SIGCONT');
  await eventually(() => said().includes('lost HOLD_LOST'));
});

test('a killed agent takes its lock with it', async () => {
  const { agent } = await startAgent('hold');
  agent.kill('SIGKILL');
  await write();
});

test('a killed agent takes mariadb-backup and zstd with it', async () => {
  const gate = closeGate(programs, 'zstd', '-c');
  const { agent } = await startAgent('capture');
  await gate.reached();
  const pid = agent.pid ?? 0;
  await eventually(() => descendants(pid, /mariadb-backup --defaults/).length > 0);
  agent.kill('SIGKILL');
  await eventually(() => !isAlive(pid));
  await write();
  // Not by a broken pipe: zstd has not even begun to write.
  await eventually(() => tools().length === 0);
  gate.open();
});

test('a killed agent takes along what waits at the gate', async () => {
  const { agent } = await startAgent('gate');
  expect(await atGate(server)).toHaveLength(1);
  agent.kill('SIGKILL');
  await writeNote();
  await eventually(() => tools().length === 0);
  await server.sql('SET lock_wait_timeout = 5; LOCK TABLES stillpoint.gate WRITE');
});

test('a killed agent takes mariadb-backup along that waits for its first stage, behind a session that stays', async () => {
  const busy = await server.root();
  await busy.query('LOCK TABLES d.notes WRITE');
  const { agent } = await startAgent('gate', 10_000, 'copying');
  await eventually(
    async () => (await server.sql("SELECT 1 FROM information_schema.processlist WHERE info = 'BACKUP STAGE START'")).length > 0,
  );
  agent.kill('SIGKILL');
  await eventually(() => tools().length === 0);
  await busy.end();
});

test.each(['gate', 'opened'] as const)(
  'a frozen agent loses what waits at the gate, or has been let in, to the server (%s)',
  async (mode) => {
    const { agent } = await startAgent(mode);
    agent.kill('SIGSTOP');
    await writeNote();
    await server.sql(
      'SET lock_wait_timeout = 5; LOCK TABLES stillpoint.gate WRITE; UNLOCK TABLES; CREATE OR REPLACE TABLE d.fresh (id INT)',
    );
    agent.kill('SIGCONT');
    await eventually(() => tools().length === 0);
  },
);
