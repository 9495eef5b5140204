import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';

/** A file to be made. */
export interface NewFile {
  readonly path: string;
  readonly content: string | Buffer;
  /** 0o600 for keys. */
  readonly mode: number;
}

/**
 * Makes files that must not be there yet: all of them, or none. Directories are made as needed, for their owner only.
 * Throws USAGE when one is there, CONFIG_FILE_UNREADABLE when one cannot be written.
 */
export function writeNewFiles(files: readonly NewFile[], existsHint: string): void {
  const made: string[] = [];
  try {
    for (const { path, content, mode } of files) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(path, content, { mode, flag: 'wx', flush: true });
      made.push(path);
    }
  } catch (cause) {
    for (const path of made) rmSync(path, { force: true });
    const path = files[made.length]?.path ?? '';
    if (existsSync(path)) throw new StillpointError('USAGE', `${path} exists and is not overwritten`, { hint: existsHint, cause });
    throw new StillpointError('CONFIG_FILE_UNREADABLE', `${path} cannot be written: ${errnoOf(cause) ?? String(cause)}`, { cause });
  }
}
