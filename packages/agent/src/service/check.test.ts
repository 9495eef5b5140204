import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkService } from './check.ts';

let directory: string;
const path = process.env.PATH;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-service-'));
});
afterEach(async () => {
  process.env.PATH = path;
  await rm(directory, { recursive: true, force: true });
});

async function program(name: string, script: string, mode = 0o755): Promise<string> {
  const file = join(directory, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, mode);
  return file;
}
const commands = (start: string, stop: string) => checkService({ driver: 'commands', start: [start, 'x'], stop: [stop] });

test('commands of one’s own are found by path and by name, and not run', async () => {
  const start = await program('start', `touch ${directory}/started`);
  await program('stop-it', 'exit 1');
  process.env.PATH = `${directory}:${path}`;
  expect(await commands(start, 'stop-it')).toBe(`Started by ${start}, stopped by ${join(directory, 'stop-it')}`);
  await expect(rm(join(directory, 'started'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a command that is missing, may not be executed or is a directory is named', async () => {
  const good = await program('good', '');
  const closed = await program('closed', '', 0o644);
  const failure = (name: string, what: string) => ({
    code: 'SERVICE_FAILED',
    message: `The server cannot ${what}: its program ${name} does not exist or may not be executed`,
    hint: expect.stringContaining('mariadb.service'),
  });
  await expect(commands('/no/such/start', good)).rejects.toMatchObject(failure('/no/such/start', 'start'));
  await expect(commands(good, 'no-such-stop')).rejects.toMatchObject(failure('no-such-stop', 'stop'));
  await expect(commands(good, closed)).rejects.toMatchObject(failure(closed, 'stop'));
  await expect(commands(directory, good)).rejects.toMatchObject(failure(directory, 'start'));
});

test('systemd must know the unit', async () => {
  await program('systemctl', '[ "$*" = "cat -- mariadb@one" ] || { echo "No files found for $3." >&2; exit 1; }');
  process.env.PATH = `${directory}:${path}`;
  expect(await checkService({ driver: 'systemd', unit: 'mariadb@one' })).toContain('unit mariadb@one');
  await expect(checkService({ driver: 'systemd', unit: 'mysql' })).rejects.toMatchObject({
    code: 'SERVICE_FAILED',
    message: 'systemctl does not know the unit mysql: No files found for mysql.',
    hint: expect.stringContaining('mariadb.service'),
  });
});
