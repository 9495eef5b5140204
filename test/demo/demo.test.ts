import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { testRoots } from '../harness/mariadb-server.ts';

/** Processes that a harness with that process id has started, told by the mark they inherited. */
const startedBy = (owner: number): string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`STILLPOINT_TEST_OWNER=${owner}\0`);
    } catch {
      return false;
    }
  });

it('the demo leaves nothing behind when it is interrupted in the middle of a backup', async () => {
  const demo = spawn(process.execPath, ['-C', 'source', join(import.meta.dirname, 'demo.ts'), '--output', 'json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const owner = demo.pid ?? 0;
  const exited = once(demo, 'exit');
  for await (const line of createInterface(demo.stdout)) {
    const { type, title } = JSON.parse(line) as { type: string; title?: string };
    // The cluster is up: what follows this step is the backup.
    if (type === 'step' && title?.startsWith('Start servers')) break;
  }
  expect(startedBy(owner).length).toBeGreaterThan(5);
  demo.kill('SIGINT');
  expect((await exited)[0]).toBe(130);
  await expect.poll(() => startedBy(owner)).toEqual([]);
  expect(existsSync(join(testRoots, String(owner)))).toBe(false);
});
