import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@stillpoint/shared/time';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cutOff } from './cut-off.ts';

let bin: string;
beforeAll(() => {
  bin = mkdtempSync(join(tmpdir(), 'stillpoint-cut-off-'));
  for (const name of ['dbrmctl', 'mcsadmin'])
    writeFileSync(join(bin, name), '#!/bin/sh\necho runs\nexec 1>&-\nsleep 60 & wait\n', { mode: 0o755 });
});
afterAll(() => rmSync(bin, { recursive: true }));

async function running(program: string, ...args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(join(bin, program), args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  await once(child.stdout, 'data');
  return child;
}

test('whatever would make the engine read-only is ended, by each program, and nothing else', async () => {
  const suspending = [await running('dbrmctl', 'readonly'), await running('mcsadmin', 'suspendDatabaseWrites', 'y', 'WAIT')];
  const others = [await running('dbrmctl', 'readwrite'), await running('mcsadmin', 'resumeDatabaseWrites', 'y')];
  try {
    await cutOff(5_000, systemClock);
    for (const child of suspending) {
      if (child.signalCode === null) await once(child, 'exit');
      expect(child.signalCode).toBe('SIGKILL');
    }
    for (const { exitCode, signalCode } of others) expect({ exitCode, signalCode }).toEqual({ exitCode: null, signalCode: null });
  } finally {
    for (const { pid } of [...suspending, ...others]) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  }
});
