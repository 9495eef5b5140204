import type { Command } from 'commander';
import type { Perform } from '../session.ts';
import { duration } from './arguments.ts';
import { CLUSTER_EXITS, noun, verb } from './verb.ts';

/** `stillpoint repository`. */
export const repositoryCommand = (perform: Perform): Command =>
  noun('repository', 'Where the nodes keep their parts of the sets', [cleanCommand(perform)]);

function cleanCommand(perform: Perform): Command {
  return verb('clean', 'Find and remove what dead operations left on the nodes; sets stay', {
    examples: [
      { line: 'stillpoint repository clean --dry-run', about: 'what there is, and how large' },
      { line: 'stillpoint repository clean', about: 'remove it' },
      { line: 'stillpoint repository clean --older-than 7d', about: 'only what nobody has changed for a week' },
    ],
    exits: [...CLUSTER_EXITS, 'BUSY', 'DELETE_REFUSED'],
  })
    .option('--dry-run', 'show what would be removed and touch nothing')
    .option('--older-than <duration>', 'leave alone what was changed within this time; default: clean.olderThan', duration)
    .action(
      perform(async ({ withController, run }, { dryRun = false, olderThan }: { dryRun?: boolean; olderThan?: number }) =>
        withController(async ({ controller }) => ({
          type: 'clean',
          report: await controller.cleanNodes({ dryRun, ...(olderThan === undefined ? {} : { olderThanMs: olderThan }) }, run),
        })),
      ),
    );
}
