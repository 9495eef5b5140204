import { readFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';

/** A process, told from a later one with the same number. */
export interface Owner {
  readonly pid: number;
  readonly host: string;
  readonly user: string;
  /** Boot of the machine and start of the process, in clock ticks since; empty where the system does not tell. */
  readonly birth: string;
}

/** This process. */
export const thisProcess = (): Owner => ({ pid: process.pid, host: hostname(), user: userName(), birth: birthOf(process.pid) });

/** user@host, pid N */
export const ownerText = ({ user, host, pid }: Owner): string => `${user}@${host}, pid ${pid}`;

/** True while that very process lives. */
export function isAlive({ pid, birth }: Owner): boolean {
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
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[19]}`;
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
