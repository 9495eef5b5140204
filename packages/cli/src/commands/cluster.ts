import { type Command, Option } from 'commander';
import type { Perform } from '../session.ts';
import { CLUSTER_EXITS, noun, verb } from './verb.ts';

/** `stillpoint cluster`. */
export function clusterCommand(perform: Perform): Command {
  const show = verb('show', 'Show every node: server, data, replication, free space', {
    examples: [
      { line: 'stillpoint cluster show', about: 'one line per node' },
      { line: "stillpoint cluster show --output json | jq -r 'select(.reachable | not).node'", about: 'nodes that do not answer' },
    ],
    exits: CLUSTER_EXITS,
  }).action(
    perform(async ({ withController, run }) =>
      withController(async ({ controller }) => ({ type: 'cluster', nodes: await controller.describe(run.signal) })),
    ),
  );

  const check = verb('check', 'Check whether a backup (or a restore) would work, without touching anything', {
    examples: [
      { line: 'stillpoint cluster check', about: 'before the first backup, and after changes' },
      { line: 'stillpoint cluster check --for restore', about: 'service driver, space and rights for a restore' },
    ],
    exits: [...CLUSTER_EXITS, 'CHECK_FAILED'],
  })
    .addOption(new Option('--for <purpose>', 'what the nodes must be fit for').choices(['backup', 'restore']).default('backup'))
    .action(
      perform(async ({ withController, run }, { for: purpose }: { for: 'backup' | 'restore' }) =>
        withController(async ({ controller }) => ({ type: 'checks', purpose, checks: await controller.check(purpose, run.signal) })),
      ),
    );

  return noun('cluster', 'The nodes of the cluster', [show, check]);
}
