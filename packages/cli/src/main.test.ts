import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { EXIT } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';

const MAIN = join(import.meta.dirname, 'main.ts');

/** The real program, from its sources. */
function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, ['-C', 'source', MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
}

async function ended(child: ChildProcess): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
  const read = { stdout: '', stderr: '' };
  child.stdout?.on('data', (data) => {
    read.stdout += data;
  });
  child.stderr?.on('data', (data) => {
    read.stderr += data;
  });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, ...read };
}

describe('the program', () => {
  it('runs', async () => {
    expect(await ended(start(['version']))).toMatchObject({
      exitCode: EXIT.OK,
      stderr: '',
      stdout: expect.stringMatching(/^stillpoint \d/),
    });
  });

  it('takes the configuration that the environment names', async () => {
    const { exitCode, stderr } = await ended(start(['cluster', 'show'], { STILLPOINT_CONFIG: '/nowhere/named-by-environment.yaml' }));
    expect(exitCode).toBe(EXIT.CONFIG);
    expect(stderr).toContain('error CONFIG_NOT_FOUND: /nowhere/named-by-environment.yaml');
  });

  it('is quiet when nobody reads on', async () => {
    const child = start(['help']);
    child.stdout?.destroy();
    expect(await ended(child)).toEqual({ exitCode: EXIT.OK, stdout: '', stderr: '' });
  });
});
