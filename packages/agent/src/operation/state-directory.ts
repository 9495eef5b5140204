import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';

/**
 * Makes the agent's state directory (0700) and claims it for this process: two agents on one directory would undo each other's work.
 * Gives the way to give it back. Throws CONFIG_FILE_UNREADABLE, or NODE_BUSY when another agent lives there.
 */
export async function claimStateDirectory(stateDir: string): Promise<() => Promise<void>> {
  const file = join(stateDir, 'agent.pid');
  const own = `${file}.${randomUUID()}`;
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    // Put in place by a link, whole: half a file would look like that of a dead agent.
    await writeFile(own, `${process.pid} ${await startOf(process.pid)}\n`, { mode: 0o600 });
    if (!(await placed(own, file))) {
      await removeDead(file, `${own}.found`, stateDir);
      if (!(await placed(own, file))) throw takenNow(stateDir);
    }
  } catch (error) {
    if (error instanceof StillpointError) throw error;
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `stateDir: ${stateDir}: ${(error as Error).message}`, { cause: error });
  } finally {
    await rm(own, { force: true }).catch(() => undefined);
  }
  return () => rm(file, { force: true });
}

/** Removes the file of an agent that is dead. Throws NODE_BUSY when it is alive. */
async function removeDead(file: string, aside: string, stateDir: string): Promise<void> {
  const found = await contentOf(file);
  const pid = await livingAgent(found);
  if (pid !== undefined) {
    const hint = 'Give each agent a stateDir of its own.';
    throw new StillpointError('NODE_BUSY', `Another agent (pid ${pid}) uses the state directory ${stateDir}`, { hint });
  }
  try {
    await rename(file, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  // Since we looked, another agent may have taken the place of the dead one: then it was that one's file, and goes back.
  const moved = await contentOf(aside);
  if (moved !== found) await placed(aside, file);
  await rm(aside);
  if (moved !== found) throw takenNow(stateDir);
}

const takenNow = (stateDir: string): StillpointError =>
  new StillpointError('NODE_BUSY', `Another agent is just taking the state directory ${stateDir}`);

const contentOf = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');

/** Gives a file another name as well, if nothing has it yet. */
async function placed(file: string, name: string): Promise<boolean> {
  try {
    await link(file, name);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Pid of the agent that wrote this, if it is alive: pids are used again, so when it was started counts as well. */
async function livingAgent(content: string): Promise<number | undefined> {
  const [pid, start] = content.trim().split(' ');
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
