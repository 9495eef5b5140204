import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Process that holds a lock on a file; undefined when nobody does or the file does not exist. A MariaDB server
 * locks ibdata1 and aria_log_control for as long as it runs, whatever became of its socket and pid file.
 * Compared by inode number alone: on overlay and btrfs file systems the device differs between stat and /proc/locks.
 */
export async function lockHolder(path: string): Promise<number | undefined> {
  const inode = await stat(path, { bigint: true }).then(
    ({ ino }) => ino,
    () => undefined,
  );
  if (inode === undefined) return undefined;
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '');
  for (const line of locks.split('\n')) {
    const match = /\s(\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line);
    if (match?.[2] !== undefined && BigInt(match[2]) === inode && (await holdsOpen(Number(match[1]), path))) return Number(match[1]);
  }
  return undefined;
}

/** True when a process has the file open, or when we may not look: rather a false alarm than a server overlooked. */
async function holdsOpen(pid: number, path: string): Promise<boolean> {
  const directory = `/proc/${pid}/fd`;
  const descriptors = await readdir(directory).catch(() => undefined);
  if (descriptors === undefined) return true;
  const targets = await Promise.all(descriptors.map((fd) => stat(`${directory}/${fd}`, { bigint: true }).catch(() => undefined)));
  const wanted = await stat(path, { bigint: true });
  return targets.some((target) => target?.ino === wanted.ino && target.dev === wanted.dev);
}

/** Name of the program that a process runs; undefined when there is no such process. */
export async function programOf(pid: number): Promise<string | undefined> {
  const executable = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
  if (executable !== undefined) return basename(executable.replace(/ \(deleted\)$/, ''));
  return readFile(`/proc/${pid}/comm`, 'utf8').then(
    (name) => name.trim(),
    () => undefined,
  );
}

/** A process that runs. */
export interface NamedProcess {
  readonly pid: number;
  /** The name that was asked for. */
  readonly name: string;
  /** Clock ticks from boot to its start: with the pid, what tells it from all others, as pids are given again. */
  readonly startedTicks: bigint;
}

/** Longest process name that the kernel keeps: WriteEngineServer is WriteEngineServ in /proc. */
const KERNEL_NAME_LENGTH = 15;

/**
 * Processes of these names, as the kernel knows them; zombies are none, and those of containers, which are nodes of their own. In the order
 * of `names`, then of pids.
 */
export async function processesNamed(names: readonly string[]): Promise<NamedProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const all = (await Promise.all(pids.map(statOf))).filter((found) => found !== undefined);
  const named = names.flatMap((name) =>
    all.filter((found) => found.name === name.slice(0, KERNEL_NAME_LENGTH)).map(({ pid, startedTicks }) => ({ pid, name, startedTicks })),
  );
  const isOurs = await Promise.all(named.map(({ pid }) => isOfThisHost(pid)));
  return named.filter((_, index) => isOurs[index]);
}

/** False for a process in another process namespace. True when we may not look: rather a false alarm than an engine overlooked. */
async function isOfThisHost(pid: number): Promise<boolean> {
  const namespaceOf = (process: number | 'self'): Promise<string | undefined> => readlink(`/proc/${process}/ns/pid`).catch(() => undefined);
  const [own, other] = await Promise.all([namespaceOf('self'), namespaceOf(pid)]);
  return other === undefined || other === own;
}

/** Clock ticks from boot to the start of a process; undefined when it is gone, be it a zombie that nobody has waited for. */
export const startedTicksOf = async (pid: number): Promise<bigint | undefined> => (await statOf(pid))?.startedTicks;

/** The name stands in parentheses and may hold some itself; fields are counted from the last one (proc_pid_stat(5)). */
async function statOf(pid: number): Promise<NamedProcess | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const end = text.lastIndexOf(')');
  const [state = '', ...fields] = text.slice(end + 2).split(' ');
  if (state === 'Z' || state === 'X') return undefined;
  return { pid, name: text.slice(text.indexOf('(') + 1, end), startedTicks: BigInt(fields[18] ?? '0') };
}

/**
 * Kills, with SIGKILL, every process that runs one of `programs` and has an argument that contains `text`, and waits
 * until they are gone. For programs that an agent left behind when it was killed; `text` must be a name that nothing
 * else can have. Returns how many there were. Throws the signal's reason.
 */
export async function killLeftBehind(programs: readonly string[], text: string, signal?: AbortSignal): Promise<number> {
  const found = await processesWith(programs, text);
  for (const pid of found) kill(pid);
  for (const pid of found) {
    while (await runs(pid)) await delay(20, undefined, signal === undefined ? {} : { signal });
  }
  return found.length;
}

async function processesWith(programs: readonly string[], text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const matches = await Promise.all(
    pids.map(async (pid) => {
      if (pid === process.pid) return false;
      const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return argv.includes(text) && programs.includes((await programOf(pid)) ?? '');
    }),
  );
  return pids.filter((_, index) => matches[index]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/** False for a zombie too: it holds nothing any more, and only its parent can remove it. */
async function runs(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return status !== undefined && !/\) [ZX] /.test(status);
}
