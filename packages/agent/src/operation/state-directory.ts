import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';

/**
 * Makes the agent's state directory (0700) and claims it for this process: two agents on one directory would undo each other's work.
 * Gives the way to give it back. Throws CONFIG_FILE_UNREADABLE, or NODE_BUSY when another agent lives there.
 */
export async function claimStateDirectory(stateDir: string): Promise<() => Promise<void>> {
  const file = join(stateDir, 'agent.pid');
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    if (!(await writeNew(file))) {
      const pid = await livingAgent(file);
      if (pid !== undefined)
        throw new StillpointError('NODE_BUSY', `Another agent (pid ${pid}) uses the state directory ${stateDir}`, {
          hint: 'Give each agent a stateDir of its own.',
        });
      await rm(file, { force: true });
      if (!(await writeNew(file))) throw new StillpointError('NODE_BUSY', `Another agent is just taking the state directory ${stateDir}`);
    }
  } catch (error) {
    if (error instanceof StillpointError) throw error;
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `stateDir: ${stateDir}: ${(error as Error).message}`, { cause: error });
  }
  return () => rm(file, { force: true });
}

async function writeNew(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(`${process.pid} ${await startOf(process.pid)}\n`);
    await handle.close();
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Pid of the agent that wrote the file, if it is alive: pids are used again, so when it was started counts as well. */
async function livingAgent(file: string): Promise<number | undefined> {
  const [pid, start] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ');
  const number = Number(pid);
  if (!Number.isInteger(number) || number <= 0) return undefined;
  return start !== undefined && (await startOf(number)) === start ? number : undefined;
}

/**
 * When a process was started, in clock ticks since boot: field 22 of /proc/PID/stat, the 20th after the program's name. Empty
 * when it is gone, be it a zombie that nobody has waited for.
 */
async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state, ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? '' : (fields[18] ?? '');
}
