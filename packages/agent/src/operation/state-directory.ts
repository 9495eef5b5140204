import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { startedTicksOf } from '../host/index.ts';

/**
 * Makes the agent's state directory (0700) and claims it for this process: two agents on one directory would undo each other's work.
 * Gives the way to give it back. Throws CONFIG_FILE_UNREADABLE, or NODE_BUSY when another agent lives there.
 *
 * Each life of an agent has a number and a file of that number; the highest is whose the directory is. A dead agent's file is
 * never taken over but followed by the next one, which only one process can make: however many look at the same time, there is
 * no moment between looking and taking in which another could slip in.
 */
export async function claimStateDirectory(stateDir: string): Promise<() => Promise<void>> {
  const own = join(stateDir, `agent.${randomUUID()}.new`);
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await writeFile(own, `${process.pid} ${await startedTicksOf(process.pid)}\n`, { mode: 0o600 });
    const file = await take(stateDir, own);
    // The file stays, empty: the next number must not be given out twice.
    return () => truncate(file).catch(() => undefined);
  } catch (error) {
    if (error instanceof StillpointError) throw error;
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `stateDir: ${stateDir}: ${(error as Error).message}`, { cause: error });
  } finally {
    await rm(own, { force: true }).catch(() => undefined);
  }
}

/** Puts the file `own` in place under the next number; gives where that is. Throws NODE_BUSY. */
async function take(stateDir: string, own: string): Promise<string> {
  const fileOf = (life: number): string => join(stateDir, `agent.${life}.pid`);
  const before = await lives(stateDir);
  const last = Math.max(0, ...before);
  const pid = await livingAgent(fileOf(last));
  if (pid !== undefined) {
    const hint = 'Give each agent a stateDir of its own.';
    throw new StillpointError('NODE_BUSY', `Another agent (pid ${pid}) uses the state directory ${stateDir}`, { hint });
  }
  const file = fileOf(last + 1);
  const taken = new StillpointError('NODE_BUSY', `Another agent is just taking the state directory ${stateDir}`);
  // By a link, whole: half a file would look like that of a dead agent.
  if (!(await linked(own, file))) throw taken;
  if (Math.max(...(await lives(stateDir))) > last + 1) {
    // Others have come and gone since we looked, and our number with them.
    await rm(file, { force: true });
    throw taken;
  }
  await Promise.all(before.map((life) => rm(fileOf(life), { force: true })));
  return file;
}

/** Numbers of the agents of which the directory knows. */
async function lives(stateDir: string): Promise<number[]> {
  return (await readdir(stateDir)).flatMap((name) => {
    const life = /^agent\.(\d{1,15})\.pid$/.exec(name)?.[1];
    return life === undefined ? [] : [Number(life)];
  });
}

/** Gives a file another name as well; false when something has it already. */
async function linked(file: string, name: string): Promise<boolean> {
  try {
    await link(file, name);
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
  return start !== undefined && String(await startedTicksOf(number)) === start ? number : undefined;
}
