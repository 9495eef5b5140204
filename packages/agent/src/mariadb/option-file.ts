import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';
import type { Account } from './session.ts';

/** An option file that lives as long as a program needs it. */
export interface OptionFile {
  readonly path: string;
  /** Removes it; as soon as the program has connected. Safe to call twice. */
  remove(): Promise<void>;
}

/** Groups that mariadb-backup obeys besides those of the server: an option there changes what is in an image. */
export const TOOL_GROUPS = ['xtrabackup', 'mariabackup', 'mariadb-backup', 'client', 'client-server', 'client-mariadb'] as const;

const PREFIX = '.mariadb-backup-';

/**
 * Writes the account into an option file for mariadb-backup that includes the server's own, so that neither password nor
 * settings go by the command line. A file with a name, because mariadb-backup opens it more than once: a pipe fails.
 * `directory` is the agent's own. Throws the system's error.
 */
export async function writeOptionFile(directory: string, defaultsFile: string, account: Account): Promise<OptionFile> {
  const path = join(directory, `${PREFIX}${randomBytes(6).toString('hex')}.cnf`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFile(path, optionText(defaultsFile, account), { mode: 0o600, flag: 'wx' });
  return { path, remove: () => rm(path, { force: true }) };
}

/** Removes what an agent left behind that was killed. Throws the system's error. */
export async function removeLeftOptionFiles(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) if (name.startsWith(PREFIX)) await rm(join(directory, name), { force: true });
}

/** The last group wins over anything that the server's file says for clients. */
export function optionText(defaultsFile: string, { user, password, socket }: Account): string {
  const options = { user, ...(password === undefined ? {} : { password }), socket };
  const lines = Object.entries(options).map(([name, value]) => `${name}=${quoteOption(value)}`);
  return [`!include ${defaultsFile}`, '[mariadb-backup]', ...lines, ''].join('\n');
}

const quoteOption = (value: string): string => `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
