import { accessSync, constants, statSync } from 'node:fs';
import { errnoOf } from '@stillpoint/shared/errors';
import type { Findings } from './findings.ts';

const OTHERS_MAY_READ = 0o004;

/** A file that holds a secret: it must be readable for us, and should not be for everybody. */
export function inspectSecretFile(found: Findings, key: string, path: string): void {
  const why = inaccessible(path, constants.R_OK);
  if (why !== undefined) found.failed(key, `${path}: ${why}`, 'Correct the path or the permissions.');
  else if ((statSync(path).mode & OTHERS_MAY_READ) !== 0) found.warning(key, `${path} can be read by everybody`, `chmod 600 ${path}`);
  else found.ok(key, path);
}

/** A file that must be readable. */
export function inspectFile(found: Findings, key: string, path: string): void {
  const why = inaccessible(path, constants.R_OK);
  if (why === undefined) found.ok(key, path);
  else found.failed(key, `${path}: ${why}`, 'Correct the path or the permissions.');
}

/** A directory that we write to. One that is not there yet is made when it is needed. */
export function inspectDirectory(found: Findings, key: string, path: string): void {
  const why = inaccessible(path, constants.R_OK | constants.W_OK | constants.X_OK);
  if (why === undefined && statSync(path).isDirectory()) found.ok(key, path);
  else if (why === undefined) found.failed(key, `${path}: not a directory`, 'Name a directory.');
  else if (why === NO_FILE) found.ok(key, `${path} does not exist yet, and is made when it is first needed`);
  else found.failed(key, `${path}: ${why}`, 'Correct its owner or permissions.');
}

const NO_FILE = 'no such file or directory';

/** Why a path cannot be used in a mode; undefined when it can. */
function inaccessible(path: string, mode: number): string | undefined {
  try {
    accessSync(path, mode);
    return undefined;
  } catch (error) {
    const errno = errnoOf(error);
    return errno === 'ENOENT' ? NO_FILE : errno === 'EACCES' ? 'permission denied' : String(errno ?? error);
  }
}
