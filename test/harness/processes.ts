import { readdirSync, readFileSync } from 'node:fs';

/** Every process that a harness starts inherits this variable, and so do their children: ours are told from others by it. */
const MARK = 'STILLPOINT_TEST_OWNER';

export interface OwnProcess {
  readonly pid: number;
  readonly parent: number;
  readonly argv: readonly string[];
}

let guarded = false;

/**
 * Marks what this process starts from now on as its own, ends all of it when this process ends (also by SIGINT, SIGTERM, SIGHUP),
 * and ends what an earlier harness left behind that was killed without a chance to do so.
 */
export function guardProcesses(): void {
  if (guarded) return;
  guarded = true;
  process.env[MARK] = String(process.pid);
  for (const { pid, owner } of marked()) if (!isAlive(owner)) killQuietly(pid, 'SIGKILL');
  process.once('exit', () => killOwnProcesses());
}

/** An environment for what has to outlive this process by a moment, to clear up after it. */
export function unmarked(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { [MARK]: _, ...others } = environment;
  return others;
}

/** Ends this process by way of its exit handlers when a signal asks for it; for programs without handlers of their own. */
export function exitOnSignals(): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)
    process.once(signal, () => process.exit(code));
}

/** What was started by this process or by anything that it started, and still runs. */
export function ownProcesses(): OwnProcess[] {
  return marked()
    .filter(({ owner, pid }) => owner === process.pid && pid !== process.pid)
    .flatMap(({ pid }) => {
      const argv = readProc(pid, 'cmdline')?.split('\0').slice(0, -1) ?? [];
      // A zombie has no arguments any more.
      return argv.length === 0 ? [] : [{ pid, parent: parentOf(pid), argv }];
    });
}

/** Own processes below `ancestor`, however deep, whose program or arguments match. */
export function descendants(ancestor: number, pattern: RegExp): OwnProcess[] {
  const all = ownProcesses();
  const byPid = new Map(all.map((one) => [one.pid, one]));
  const isBelow = (one: OwnProcess | undefined): boolean =>
    one !== undefined && (one.parent === ancestor || isBelow(byPid.get(one.parent)));
  return all.filter((one) => pattern.test(one.argv.join(' ')) && isBelow(one));
}

/** Kills everything that is ours. Gives how many there were. */
function killOwnProcesses(): number {
  const own = ownProcesses();
  for (const { pid } of own) killQuietly(pid, 'SIGKILL');
  return own.length;
}

export function isAlive(pid: number): boolean {
  const state = readProc(pid, 'stat');
  return state !== undefined && !/^\d+ \(.*\) Z/s.test(state);
}

/** Resident memory, bytes; 0 for a process that is gone. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readProc(pid, 'status') ?? '')?.[1] ?? 0) * 1024;
}

/** Sends a signal; a process that is gone already is no error. */
export function killQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function marked(): { pid: number; owner: number }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const owner = new RegExp(`(?:^|\0)${MARK}=(\\d+)`).exec(readProc(Number(name), 'environ') ?? '')?.[1];
      return owner === undefined ? [] : [{ pid: Number(name), owner: Number(owner) }];
    });
}

const parentOf = (pid: number): number => Number(/^PPid:\s+(\d+)/m.exec(readProc(pid, 'status') ?? '')?.[1] ?? 0);

/** Undefined for processes that are gone or not ours to look into. */
function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}
