import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { directoryBytes } from '../../host/index.ts';
import type { ServerSettings } from '../../mariadb/settings.ts';

/**
 * Size of the server's files that belong to an image, bytes: without logs and temporary files, which are made anew.
 * Throws the system's error or the signal's reason.
 */
export async function imageBytes({ datadir, logBinBasename, relayLogBasename }: ServerSettings, signal?: AbortSignal): Promise<number> {
  const logs = [logBinBasename, relayLogBasename].filter(Boolean).map((path) => `${basename(path)}.`);
  let bytes = 0;
  for (const name of await readdir(datadir)) {
    if (MADE_ANEW.test(name) || logs.some((prefix) => name.startsWith(prefix))) continue;
    bytes += await directoryBytes(join(datadir, name), signal);
  }
  return bytes;
}

const MADE_ANEW = /^(?:ib_logfile\d+|ibtmp\d+|ib_buffer_pool|.*-relay-bin\.\d+)$/;

/** Bytes that a process has written, by the kernel's count; undefined when it is gone or the kernel does not tell. */
export async function bytesWritten(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => '');
  const written = /^wchar: (\d+)$/m.exec(text)?.[1];
  return written === undefined ? undefined : Number(written);
}

/** Time that a process has spent on processors, in ticks of the kernel, 10 ms as a rule; undefined when it is gone. */
export async function processorTicks(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.length < TICKS_AT + 2 ? undefined : Number(fields[TICKS_AT]) + Number(fields[TICKS_AT + 1]);
}

/** Of utime, counted from the state, which follows the name (proc_pid_stat(5)). */
const TICKS_AT = 11;
