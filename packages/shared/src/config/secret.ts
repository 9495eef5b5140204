import { readFileSync } from 'node:fs';
import { errnoOf, StillpointError } from '../errors/index.ts';

/**
 * Reads a file that the configuration names. `setting` is the key that names it, for the message.
 * Throws CONFIG_FILE_UNREADABLE.
 */
export function readSettingFile(path: string, setting: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const why = errnoOf(cause) === 'ENOENT' ? 'no such file' : errnoOf(cause) === 'EACCES' ? 'permission denied' : String(cause);
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `${setting}: ${path}: ${why}`, { cause });
  }
}

/** A secret kept in a file: its first line. Throws CONFIG_FILE_UNREADABLE. */
export const readSecret = (path: string, setting: string): string =>
  readSettingFile(path, setting).toString('utf8').split('\n', 1)[0] ?? '';
