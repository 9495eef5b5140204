import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** An identity that `age-keygen` made, in a file, and its public key. */
export interface AgeKey {
  readonly file: string;
  readonly recipient: string;
}

/** Makes one. */
export function ageKey(directory: string, name = 'identity'): AgeKey {
  const file = join(directory, name);
  execFileSync('age-keygen', ['-o', file], { stdio: 'ignore' });
  return { file, recipient: execFileSync('age-keygen', ['-y', file], { encoding: 'utf8' }).trim() };
}
