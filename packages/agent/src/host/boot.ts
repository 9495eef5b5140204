import { readFile } from 'node:fs/promises';

/**
 * Names this boot of the host; empty where the kernel does not tell. What a process has seen of a file system holds until the next one: after a
 * crash it may be older than it was, and stamps and content of a file need not belong together any more.
 */
export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim();
}
