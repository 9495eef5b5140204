import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { eventually } from '../../../../test/harness/eventually.ts';
import { startProgram } from './program.ts';
import { tiedToAgent } from './tied.ts';

/** The letter of its state in /proc: S waits, T is stopped. */
const stateOf = (pid = 0): string => /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? '';

test('a launched program is itself: what it says, how it ends, whether it is there', async () => {
  const launcher = await tiedToAgent();
  const failing = startProgram('sh', ['-c', 'echo why >&2; exit 3'], { launcher });
  await expect(failing.done).rejects.toMatchObject({ program: 'sh', exitCode: 3, stderrTail: 'why\n' });
  const missing = startProgram('no-such-program', [], { launcher });
  await expect(missing.done).rejects.toMatchObject({ code: 'TOOL_MISSING', message: expect.stringContaining('no-such-program') });
});

test('a paused program stands with all it has started, until it goes on', async () => {
  const running = startProgram('sh', ['-c', 'while :; do sleep 0.01; done']);
  running.pause();
  await eventually(() => stateOf(running.pid) === 'T');
  running.unpause();
  await eventually(() => stateOf(running.pid) !== 'T');
  running.kill();
  await expect(running.done).rejects.toMatchObject({ signal: 'SIGTERM' });
  running.pause();
});
