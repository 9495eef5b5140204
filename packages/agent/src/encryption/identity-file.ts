import { open } from 'node:fs/promises';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { Keyring } from './keyring.ts';

const SETTING = 'decryption.identityFile';
/** What others than its owner may do with the file: its group may read it, if the agent runs as another user than its owner. */
const OTHERS_MAY = 0o037;
/** What `age-keygen` writes; other kinds need programs or devices of their own. */
const IDENTITY = /^AGE-SECRET-KEY-1[0-9A-Z]+$/;

/**
 * Reads the identities of this node: a file as `age-keygen -o` writes it, one identity a line. Read anew each time it is needed, so that a
 * new one counts without a restart. Undefined when none is configured. Throws CONFIG_FILE_UNREADABLE, also for a file that others may read; no
 * message ever holds a line of it.
 */
export async function readKeyring(identityFile: string | undefined): Promise<Keyring | undefined> {
  if (identityFile === undefined) return undefined;
  const { mode, text } = await readFileWithMode(identityFile);
  if ((mode & OTHERS_MAY) !== 0) {
    const shown = (mode & 0o777).toString(8).padStart(4, '0');
    throw unusable(identityFile, `others may use it (mode ${shown})`, `Run: chmod 600 ${identityFile}`);
  }
  const lines = text.split('\n').map((line) => line.trim());
  const numbered = lines.map((line, index) => ({ line, number: index + 1 })).filter(({ line }) => line !== '' && !line.startsWith('#'));
  const wrong = numbered.find(({ line }) => !IDENTITY.test(line));
  if (wrong !== undefined) throw noIdentity(identityFile, wrong.number);
  if (numbered.length === 0) throw unusable(identityFile, 'it holds no identity', 'Make one with `age-keygen -o FILE`.');
  try {
    return await Keyring.of(numbered.map(({ line }) => line));
  } catch {
    // Which one, nobody says. Its error is left out: it could quote what it was given.
    throw unusable(identityFile, 'an identity in it is damaged', 'Put it back from the copy that you keep elsewhere.');
  }
}

const noIdentity = (path: string, number: number): StillpointError =>
  unusable(path, `line ${number} is no identity (AGE-SECRET-KEY-1...)`, 'Name a file that `age-keygen -o FILE` has written.');

const unusable = (path: string, why: string, hint: string): StillpointError =>
  new StillpointError('CONFIG_FILE_UNREADABLE', `${SETTING}: ${path}: ${why}`, { hint });

async function readFileWithMode(path: string): Promise<{ readonly mode: number; readonly text: string }> {
  try {
    const file = await open(path, 'r');
    try {
      return { mode: (await file.stat()).mode, text: await file.readFile('utf8') };
    } finally {
      await file.close();
    }
  } catch (cause) {
    const errno = errnoOf(cause);
    const why = errno === 'ENOENT' ? 'no such file' : errno === 'EACCES' ? 'permission denied' : String(cause);
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `${SETTING}: ${path}: ${why}`, { cause });
  }
}
