import { readFileSync, readlinkSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';

/** A process, told from a later one with the same number, and from one of the same number elsewhere. */
export interface Owner {
  readonly pid: number;
  readonly host: string;
  readonly user: string;
  /** The installation of the system (`/etc/machine-id`), the boot of the machine, and the PID namespace; empty where the system does not tell. */
  readonly machine: string;
  readonly boot: string;
  readonly pidNamespace: string;
  /** Start of the process, in clock ticks since the boot; empty where the system does not tell. */
  readonly birth: string;
}

/** This process. */
export const thisProcess = (): Owner => ({
  pid: process.pid,
  host: hostname(),
  user: userName(),
  machine: textOf('/etc/machine-id'),
  boot: textOf('/proc/sys/kernel/random/boot_id'),
  pidNamespace: pidNamespace(),
  birth: birthOf(process.pid),
});

/** user@host, pid N */
export const ownerText = ({ user, host, pid }: Owner): string => `${user}@${host}, pid ${pid}`;

/** `elsewhere`: on another host or in another PID namespace, from where nobody can look at it from here. */
export type Life = 'alive' | 'dead' | 'elsewhere';

/** Whether that very process lives. */
export function lifeOf(owner: Owner): Life {
  const here = thisProcess();
  if (owner.host !== here.host || owner.machine !== here.machine) return 'elsewhere';
  // What ran before the machine was started again does not run any more; only a machine that can be told from others counts.
  if (owner.boot !== here.boot) return here.machine === '' ? 'elsewhere' : 'dead';
  if (owner.pidNamespace !== here.pidNamespace) return 'elsewhere';
  return isAlive(owner) ? 'alive' : 'dead';
}

function isAlive({ pid, birth }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, as another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return birthOf(pid) === birth;
}

/** `/proc/<pid>/stat`: the 22nd field is the start time; the 2nd, in parentheses, may hold anything. */
function birthOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended, whatever its parent has yet to ask.
    if (fields[0] === 'Z') return 'ended';
    return fields[19] ?? '';
  } catch {
    return '';
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

/** `pid:[4026531836]` */
function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/** Containers may run under a number without a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`;
  }
}
