import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { containerRuntime } from './harness/container-runtime.ts';
import { ownedBy } from './harness/owned.ts';

test('a run that is killed leaves no container and no network behind', async () => {
  const { container } = await containerRuntime();
  const run = spawn(
    process.execPath,
    [join(import.meta.dirname, 'abandoned-run-child.ts'), 'pm1', join(testDirectory('abandoned'), 'pm1')],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      // As if it were the first to ask for containers.
      env: { ...process.env, DOCKER_HOST: '' },
    },
  );
  await once(run.stdout, 'data');
  const mine = () => ownedBy(container.dockerode, (owner) => owner === run.pid);
  const before = await mine();
  expect([before.containers.length, before.networks.length]).toEqual([1, 1]);

  run.kill('SIGKILL');
  await eventually(async () => {
    const { containers, networks } = await mine();
    return containers.length + networks.length === 0;
  });
});
