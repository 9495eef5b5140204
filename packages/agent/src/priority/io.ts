import { runProgram } from '../process/index.ts';

/** As the kernel numbers them. */
const CLASSES = ['none', 'realtime', 'best-effort', 'idle'];

/** Arguments with which `ionice` gives others the class of input and output that this process has: none where nothing tells it. */
export async function ownIoArguments(): Promise<readonly string[]> {
  const told = await runProgram('ionice', ['-p', String(process.pid)]).catch(() => ({ stdout: '' }));
  return ioArgumentsOf(told.stdout);
}

/** What `ionice` says of a process ("best-effort: prio 4", "idle", "none: prio 0"), as its own arguments. Pure. */
export function ioArgumentsOf(text: string): readonly string[] {
  const [, name = 'none', level = '4'] = /^([a-z-]+)(?:: prio (\d+))?$/m.exec(text) ?? [];
  const at = Math.max(0, CLASSES.indexOf(name));
  const hasLevels = name === 'realtime' || name === 'best-effort';
  return ['-c', String(at), ...(hasLevels ? ['-n', level] : [])];
}
