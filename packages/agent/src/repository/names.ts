import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import { NAME_PATTERN } from '@stillpoint/shared/operation';

/** The name, if it is one: a file name without a path and not hidden. Throws `code`. `what` is for the message. */
export function checkedName(name: string, what: string, code: ErrorCode = 'USAGE'): string {
  if (NAME_PATTERN.test(name)) return name;
  throw new StillpointError(code, `"${name.slice(0, 80)}" is not a ${what}`);
}
