import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BLOCKERS, startBlocker } from './blocker.ts';
import { loadShop, shopChecksums } from './data.ts';
import { eventually } from './eventually.ts';
import { closeGate, makePrograms } from './gates.ts';
import { startServer, type TestServer, testDirectory } from './mariadb-server.ts';
import { guardProcesses, isAlive, ownProcesses } from './processes.ts';
import { startWriter } from './writer.ts';

/** The instruments themselves: what they measure has to be true before anything is concluded from it. */
describe('harness', () => {
  let server: TestServer;

  beforeAll(async () => {
    guardProcesses();
    server = await startServer({ name: 'harness', address: '127.3.2.1', options: { plugin_load_add: 'metadata_lock_info' } });
    await loadShop(server, 1);
    await server.sql("CREATE USER app@'%' IDENTIFIED BY 'x'; GRANT SELECT, INSERT ON shop.* TO app@'%'");
  });
  afterAll(() => server?.remove());

  const client = () => startWriter({ host: server.address, port: server.port, user: 'app', password: 'x' });

  it('the writer feels a lock for as long as it is held, and counts no error', async () => {
    const writer = client();
    const connection = await server.root();
    const window = writer.window();
    await connection.query('FLUSH TABLES WITH READ LOCK');
    await connection.query('DO SLEEP(0.4)');
    const held = window();
    await connection.query('UNLOCK TABLES');
    await writer.pause();
    await connection.end();
    await writer.stop();
    // Felt while it is still held, and afterwards.
    expect(held.longestMs).toBeGreaterThan(350);
    expect(window().longestMs).toBeGreaterThan(350);
    expect(window().errors).toEqual([]);
  });

  it('the writer outlives a killed server and tells the outage', async () => {
    const writer = client();
    const window = writer.window();
    await server.kill('SIGKILL');
    await server.start();
    const last = writer.last;
    await eventually(() => writer.last > last);
    await writer.stop();
    expect(window().errors.length).toBeGreaterThan(0);
    expect(window().longestGapMs).toBeGreaterThan(window().longestMs);
  });

  it('checksums tell one changed byte', async () => {
    const before = await shopChecksums(server);
    await server.sql("UPDATE shop.notes SET body = CONCAT('x', SUBSTRING(body, 2)) WHERE id = 7");
    const after = await shopChecksums(server);
    expect(Object.keys(after).filter((table) => after[table] !== before[table])).toEqual(['shop.notes']);
  });

  it.each(Object.entries(BLOCKERS))('%s makes the global lock wait', async (_kind, statement) => {
    const blocker = await startBlocker(server, 'root', '', statement);
    const lock = server.sql('SET STATEMENT max_statement_time=0.2 FOR FLUSH TABLES WITH READ LOCK');
    await expect(lock).rejects.toMatchObject({ errno: 1969 });
    await blocker.end();
    await server.sql('SET STATEMENT max_statement_time=5 FOR FLUSH TABLES WITH READ LOCK');
  });

  it('a gate holds only the calls it is for, and lets them go on as the real program', async () => {
    const programs = join(testDirectory('gates'), 'programs');
    mkdirSync(programs);
    makePrograms(programs);
    const run = (...args: string[]) => promisify(execFile)(join(programs, 'zstd'), args);
    const gate = closeGate(programs, 'zstd', '--help');
    expect((await run('--version')).stdout).toContain('Zstandard');
    const held = run('--help');
    await gate.reached();
    gate.open();
    expect((await held).stdout).toContain('Usage');
  });

  it('own processes are found by their mark, children of children too', async () => {
    const child = execFile('sh', ['-c', 'sh -c "sleep 60; :" ; :']);
    await expect.poll(() => ownProcesses().filter(({ argv }) => argv.join(' ') === 'sleep 60').length).toBe(1);
    const [sleeper] = ownProcesses().filter(({ argv }) => argv.join(' ') === 'sleep 60');
    process.kill(sleeper?.pid ?? 0, 'SIGKILL');
    child.kill('SIGKILL');
    await expect.poll(() => isAlive(sleeper?.pid ?? 0)).toBe(false);
  });
});
