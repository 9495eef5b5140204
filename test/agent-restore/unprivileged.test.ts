import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { accountOf } from '../../packages/agent/src/host/index.ts';
import { ProgramFailure, runProgram } from '../../packages/agent/src/process/index.ts';
import { loadShop, mark, markers, shopChecksums } from '../harness/data.ts';
import { type TestServer, testDirectory } from '../harness/mariadb-server.ts';
import { type Rig, SET, serverOwner, startRig, takePart } from './rig.ts';

const CHILD = join(import.meta.dirname, 'unprivileged-child.ts');
const account = process.getuid?.() === 0 ? await accountOf(serverOwner) : undefined;
/** Only where that account may read this checkout and run Node. */
const isPossible =
  account !== undefined &&
  (await runProgram(process.execPath, ['-C', 'source', '--check', CHILD], account).then(
    () => true,
    () => false,
  ));

let rig: Rig;
afterEach(() => rig.server.remove());

test.runIf(isPossible).each([
  ['beside it', true],
  ['within it, because its parent belongs to root', false],
] as const)('an agent that is not root restores the data directory, staged %s', async (_, mayWriteParent) => {
  rig = await startRig();
  const { server, home } = rig;
  const datadir = mayWriteParent ? server.datadir : await moveData(server, join(testDirectory('of-root'), 'data'));
  const tuning = join(home, 'etc', 'tuning.cnf');
  mkdirSync(join(home, 'etc'));
  writeFileSync(tuning, '[mariadbd]\nmax_connections=77\n');
  await loadShop(server, 2);
  await mark(server, 'before');
  const config = { ...rig.config, configuration: [join(home, 'etc')] };
  const part = await takePart({ ...rig, server: { ...server, datadir }, config }, [tuning]);
  const checksums = await shopChecksums(server);
  await mark(server, 'after');
  writeFileSync(tuning, '[mariadbd]\n');
  const input = join(home, 'unprivileged.json');
  writeFileSync(input, JSON.stringify({ config, home, part }));
  execFileSync('chown', ['-R', `${serverOwner}:`, home, server.directory]);

  const { stdout } = await runProgram(process.execPath, ['-C', 'source', CHILD, input], { ...account, cwd: home }).catch(
    (error: unknown) => {
      throw error instanceof ProgramFailure ? new Error(error.stderrTail) : error;
    },
  );
  const [staged, switched] = JSON.parse(stdout);
  expect(staged.result.value.path.startsWith(join(datadir, 'mysql'))).toBe(!mayWriteParent);
  expect(staged.result.value.tablesEqual).toBe(6);
  expect(switched.result.value.configuration).toEqual([tuning]);
  expect(readFileSync(tuning, 'utf8')).toContain('77');
  expect(readFileSync(`${tuning}.found-restore-${SET}`, 'utf8')).not.toContain('77');
  expect(await markers(server)).toEqual(['before']);
  expect(await shopChecksums(server)).toEqual(checksums);
});

/** Puts the data of a server elsewhere. */
async function moveData(server: TestServer, to: string): Promise<string> {
  await server.stop();
  renameSync(server.datadir, to);
  const options = readFileSync(server.defaultsFile, 'utf8');
  writeFileSync(server.defaultsFile, options.replace(`datadir=${server.datadir}`, `datadir=${to}`));
  await server.start();
  return to;
}
