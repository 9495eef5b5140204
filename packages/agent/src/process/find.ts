import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { resolve } from 'node:path';

/** Where programs are looked for: mariadbd lies where the PATH of ordinary users does not lead. */
export const searchPath = (): string => [process.env.PATH, '/usr/local/sbin', '/usr/sbin', '/sbin'].filter(Boolean).join(':');

/** The file that would be run for a program, named by path or looked for; undefined when there is none that this process may execute. */
export async function findProgram(program: string): Promise<string | undefined> {
  const candidates = program.includes('/')
    ? [resolve(program)]
    : searchPath()
        .split(':')
        .map((directory) => resolve(directory, program));
  for (const path of candidates) if (await isExecutable(path)) return path;
  return undefined;
}

/** Directories may be "executed" too. */
async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
