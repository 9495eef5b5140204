import { readFile, stat } from 'node:fs/promises';
import { errnoOf } from '@stillpoint/shared/errors';
import { runProgram } from '../process/index.ts';

/** An operating system account and group, by number. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The account this process runs as. */
export const ownAccount = (): Account => ({ uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 });

/** Who owns a file or directory; undefined when it does not exist. Links are followed. Throws the system's error. */
export async function ownerOf(path: string): Promise<Account | undefined> {
  try {
    const { uid, gid } = await stat(path);
    return { uid, gid };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Number of a user; undefined when there is none. */
export const uidOf = (user: string): Promise<number | undefined> => numberOf('passwd', user);

/** Number of a group; undefined when there is none. */
export const gidOf = (group: string): Promise<number | undefined> => numberOf('group', group);

/** A user with its primary group; undefined when there is none. */
export async function accountOf(user: string): Promise<Account | undefined> {
  const entry = (await entries('passwd', user)).find((fields) => fields[0] === user);
  return entry === undefined ? undefined : { uid: Number(entry[2]), gid: Number(entry[3]) };
}

/** `user:group` of an account, in numbers where they have no name. */
export async function accountName({ uid, gid }: Account): Promise<string> {
  const [user, group] = await Promise.all([nameOf('passwd', uid), nameOf('group', gid)]);
  return `${user}:${group}`;
}

/** Name of a user by number, as decimal text when it has none. */
export const userName = (uid: number): Promise<string> => nameOf('passwd', uid);

type Database = 'passwd' | 'group';

async function numberOf(database: Database, name: string): Promise<number | undefined> {
  const entry = (await entries(database, name)).find((fields) => fields[0] === name);
  return entry === undefined ? undefined : Number(entry[2]);
}

async function nameOf(database: Database, id: number): Promise<string> {
  return (await entries(database, String(id))).find((fields) => fields[2] === String(id))?.[0] ?? String(id);
}

/** Lines about a name or number: of the local file, and of getent where accounts live in a directory service. */
async function entries(database: Database, key: string): Promise<readonly string[][]> {
  const parse = (text: string): string[][] => text.split('\n').map((line) => line.split(':'));
  const local = parse(await readFile(`/etc/${database}`, 'utf8').catch(() => ''));
  if (local.some((fields) => fields[0] === key || fields[2] === key)) return local;
  // Its exit status is not 0 for an unknown key; a system without getent has no directory service either.
  return runProgram('getent', [database, key], { timeoutMs: 5_000 }).then(
    ({ stdout }) => parse(stdout),
    () => [],
  );
}
