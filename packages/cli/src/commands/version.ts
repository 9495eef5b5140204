import { VERSION } from '@stillpoint/shared/version';
import type { Command } from 'commander';
import type { Perform } from '../session.ts';
import type { ResultOf } from '../ui/result.ts';
import { verb } from './verb.ts';

/** What `version` and `--version` show. */
export const versionResult = (): ResultOf<'version'> => ({
  type: 'version',
  version: VERSION,
  node: process.versions.node,
  platform: `${process.platform}-${process.arch}`,
});

/** `stillpoint version`. */
export const versionCommand = (perform: Perform): Command =>
  verb('version', 'Print the version', {
    examples: [{ line: 'stillpoint version', about: 'the same on every node, please' }],
    exits: [],
  }).action(perform(async () => versionResult()));
