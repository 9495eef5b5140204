import type { RetentionRules } from '@stillpoint/controller';
import type { Command } from 'commander';
import type { Perform } from '../session.ts';
import { confirmed, duration, integer } from './arguments.ts';
import { CLUSTER_EXITS, verb } from './verb.ts';

interface PruneOptions extends RetentionRules {
  readonly dryRun?: true;
  readonly yes?: true;
}

const MOST = 100_000;

/** `stillpoint backup prune`. */
export function pruneCommand(perform: Perform): Command {
  return verb('prune', 'Delete the old sets that no rule keeps', {
    examples: [
      { line: 'stillpoint backup prune --dry-run', about: 'every set, whether it would stay, and why' },
      { line: 'stillpoint backup prune --yes', about: 'by backup.retention of the configuration' },
      { line: 'stillpoint backup prune --keep-last 7 --keep-weekly 4 --keep-monthly 12 --yes', about: 'by these rules instead' },
    ],
    exits: [...CLUSTER_EXITS, 'BUSY', 'DELETE_REFUSED'],
  })
    .option('--dry-run', 'show what would be deleted and touch nothing')
    .option('--keep-last <number>', 'keep the newest so many good sets', integer(1, MOST))
    .option('--keep-within <duration>', 'keep the sets that were cut within this time, 30d for example', duration)
    .option('--keep-daily <number>', 'keep the newest set of each day (UTC), for so many days that have one', integer(1, MOST))
    .option('--keep-weekly <number>', 'the same with weeks, Monday to Sunday', integer(1, MOST))
    .option('--keep-monthly <number>', 'the same with months', integer(1, MOST))
    .option('--minimum-good <number>', 'so many of the newest good sets stay, whatever the rules say', integer(1, MOST))
    .option('--yes', 'really do it')
    .action(
      perform(async ({ withController, run }, { dryRun, yes, ...rules }: PruneOptions) => {
        if (dryRun !== true)
          confirmed(
            yes === undefined ? {} : { yes },
            'This would delete the sets that no rule keeps from every node, for good; --dry-run shows them.',
          );
        return withController(async ({ config, controller }) => {
          const wanted = instead(config.backup.retention, rules);
          const report = dryRun ? await controller.planPrune(wanted, run.signal) : await controller.pruneSets(wanted, run);
          return { type: 'prune', report };
        });
      }),
    );
}

/** A rule to keep that is named takes the place of all that are configured; the minimum is a bound and stays unless it is named too. */
function instead(configured: RetentionRules, { minimumGood = configured.minimumGood, ...named }: RetentionRules): RetentionRules {
  return Object.values(named).some((rule) => rule !== undefined) ? { ...named, minimumGood } : { ...configured, minimumGood };
}

/** `stillpoint backup protect`. */
export function protectCommand(perform: Perform): Command {
  return verb('protect', 'Protect a set: neither retention nor `backup delete` removes it', {
    examples: [{ line: 'stillpoint backup protect latest', about: 'before an upgrade, for example' }],
    exits: [...CLUSTER_EXITS, 'BUSY', 'NOT_FOUND'],
  })
    .argument('<set>', 'set id, or latest')
    .action(
      perform(async ({ withController, run }, _options: object, set: string) =>
        withController(async ({ controller }) => ({ type: 'protection', report: await controller.protectSet(set, true, run) })),
      ),
    );
}

/** `stillpoint backup unprotect`. */
export function unprotectCommand(perform: Perform): Command {
  return verb('unprotect', 'Take the protection of a set away', {
    examples: [{ line: 'stillpoint backup unprotect 20261121-091500-3fa94c01', about: 'ids come from `stillpoint backup list`' }],
    exits: [...CLUSTER_EXITS, 'BUSY', 'NOT_FOUND'],
  })
    .argument('<set>', 'set id, or latest')
    .action(
      perform(async ({ withController, run }, _options: object, set: string) =>
        withController(async ({ controller }) => ({ type: 'protection', report: await controller.protectSet(set, false, run) })),
      ),
    );
}
