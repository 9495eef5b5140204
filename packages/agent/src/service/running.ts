import { readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { lockHolder, programOf } from '../host/index.ts';

/** Where the signs of a running server are. */
export interface ServerPlace {
  readonly socket: string;
  readonly pidFile: string;
  /** Undefined when nobody knows where it is. */
  readonly datadir: string | undefined;
}

const SERVER_PROGRAMS = ['mariadbd', 'mysqld'];

/**
 * What shows that a server runs, in words for a message; undefined when nothing does. Looks at the socket, at the
 * locks that a server keeps on its files, and at the pid file: each of them alone can be missing or stale.
 */
export async function signOfServer({ socket, pidFile, datadir }: ServerPlace): Promise<string | undefined> {
  if (await answers(socket)) return `it answers on ${socket}`;
  for (const file of datadir === undefined ? [] : [join(datadir, 'ibdata1'), join(datadir, 'aria_log_control')]) {
    const pid = await lockHolder(file);
    if (pid !== undefined) return `process ${pid} holds ${file}`;
  }
  const pid = await pidOf(pidFile);
  return pid === undefined ? undefined : `${pidFile} names process ${pid}, which is a server`;
}

/** The process that a pid file names, if it is a server: a stale file may name anything. */
async function pidOf(pidFile: string): Promise<number | undefined> {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return SERVER_PROGRAMS.includes((await programOf(pid)) ?? '') ? pid : undefined;
}

/** True when somebody accepts connections there. */
async function answers(socket: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const connection = createConnection(socket);
  connection.once('connect', () => resolve(true));
  connection.once('error', () => resolve(false));
  try {
    return await promise;
  } finally {
    connection.destroy();
  }
}
