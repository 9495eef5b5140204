import type { BackupRequest, BackupSettings } from '@stillpoint/controller';
import { HOLD_BOUNDS } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import { type Command, Option } from 'commander';
import type { Perform } from '../session.ts';
import { compression, confirmed, durationWithin, integer, rate, tables } from './arguments.ts';
import { protectCommand, pruneCommand, unprotectCommand } from './retention.ts';
import { CLUSTER_EXITS, noun, verb } from './verb.ts';

interface CreateOptions {
  readonly dryRun?: true;
  /** False with --no-checksums. */
  readonly checksums: boolean;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly lockTimeout?: number;
  readonly lockAttempts?: number;
  readonly maxBlock?: number;
  readonly compressionLevel?: BackupSettings['compressionLevel'];
  readonly throttle?: number;
  readonly capture?: BackupSettings['capture'];
  readonly probe?: true;
  readonly incremental?: true;
  readonly parent?: string;
}

/** `stillpoint backup`. */
export const backupCommand = (perform: Perform): Command =>
  noun('backup', 'Sets: backups of the whole cluster', [
    createCommand(perform),
    listCommand(perform),
    showCommand(perform),
    verifyCommand(perform),
    deleteCommand(perform),
    pruneCommand(perform),
    protectCommand(perform),
    unprotectCommand(perform),
  ]);

function createCommand(perform: Perform): Command {
  return verb('create', 'Back up the cluster as one consistent set', {
    examples: [
      { line: 'stillpoint backup create --dry-run', about: 'what would happen, and how long writers could wait' },
      { line: 'stillpoint backup create', about: 'with the settings of the configuration' },
      { line: 'stillpoint backup create --incremental', about: 'only what has changed since the newest good set' },
      { line: "stillpoint backup create --max-block 20s --exclude 'logs.*'", about: 'bounded wait; no checksums for one database' },
    ],
    exits: [...CLUSTER_EXITS, 'CHECK_FAILED', 'BUSY', 'LOCK', 'BACKUP_FAILED'],
  })
    .option('--dry-run', 'show the plan and touch nothing')
    .option('--incremental', 'store only what is new or has changed since the newest good set')
    .option('--parent <set>', 'with --incremental: since this set, an id or latest')
    .option('--no-checksums', 'do not sum tables at the cut; a restore cannot prove them then')
    .option('--include <db.table>', 'sum these tables only; * and ? are wildcards; may be repeated', tables)
    .option('--exclude <db.table>', 'do not sum these tables; may be repeated', tables)
    .option(
      '--lock-timeout <duration>',
      'longest wait for a lock, and so longest stall per attempt',
      durationWithin(HOLD_BOUNDS.lockTimeout),
    )
    .option('--lock-attempts <number>', 'how often to try for the locks', integer(1, 100))
    .option(
      '--max-block <duration>',
      'longest time writers may be shut out; over it the backup is aborted',
      durationWithin(HOLD_BOUNDS.maxBlock),
    )
    .addOption(
      new Option(
        '--capture <strategy>',
        'how images are taken (reflink, precopy: dbroots; gate, increment: servers); auto takes the best that each node can do',
      ).choices(['auto', 'reflink', 'precopy', 'gate', 'increment', 'locked']),
    )
    .option('--probe', 'write a row of stillpoint.probe all through the backup, to tell how long a client waits')
    .option('--compression-level <level>', 'zstd level, 1 to 19, or none', compression)
    .option('--throttle <rate>', 'what each node may read and write in a second while no writer waits, such as 50MiB', rate)
    .action(
      perform(async ({ withController, run }, options: CreateOptions) =>
        withController(async ({ config, controller }) => {
          const request = { settings: overrides(config.backup, options), ...incrementOf(options) };
          if (options.dryRun) return { type: 'backup-plan', plan: await controller.planBackup(request, run.signal) };
          return { type: 'backup', report: await controller.createBackup(request, run) };
        }),
      ),
    );
}

function incrementOf({ incremental, parent }: CreateOptions): Pick<BackupRequest, 'incremental'> {
  if (incremental) return { incremental: parent === undefined ? {} : { parent } };
  if (parent === undefined) return {};
  throw new StillpointError('USAGE', '--parent is for incremental sets', { hint: 'Add --incremental.' });
}

/** What the command line says differently than the configuration. */
function overrides({ checksums, probe }: BackupSettings, options: CreateOptions): Partial<BackupSettings> {
  const { lockTimeout, lockAttempts, maxBlock, capture, compressionLevel, include, exclude, throttle } = options;
  return {
    ...(lockTimeout === undefined ? {} : { lockTimeout }),
    ...(lockAttempts === undefined ? {} : { lockAttempts }),
    ...(maxBlock === undefined ? {} : { maxBlock }),
    ...(capture === undefined ? {} : { capture }),
    ...(options.probe ? { probe: { ...probe, enabled: true } } : {}),
    ...(compressionLevel === undefined ? {} : { compressionLevel }),
    ...(throttle === undefined ? {} : { throttle }),
    checksums: {
      ...checksums,
      enabled: checksums.enabled && options.checksums,
      include: [...(include ?? checksums.include)],
      exclude: [...(exclude ?? checksums.exclude)],
    },
  };
}

function listCommand(perform: Perform): Command {
  return verb('list', 'List the sets, newest first', {
    examples: [
      { line: 'stillpoint backup list', about: 'sets that can be restored, whole or in part' },
      { line: 'stillpoint backup list --all', about: 'failed attempts too, with the reason' },
      { line: 'stillpoint backup list --rescan', about: 'look into the repositories of all nodes first' },
    ],
    exits: CLUSTER_EXITS,
  })
    .option('--all', 'failed attempts too, with the reason', false)
    .option('--rescan', 'rebuild the catalog from the repositories of all nodes first', false)
    .action(
      perform(async ({ withController, run }, { all, rescan }: { all: boolean; rescan: boolean }) =>
        withController(async ({ controller }) => ({ type: 'sets', sets: await controller.listSets({ all, rescan }, run.signal) })),
      ),
    );
}

function showCommand(perform: Perform): Command {
  return verb('show', 'Show one set: cut, nodes, block, phases, files with their sha256', {
    examples: [{ line: 'stillpoint backup show latest', about: 'the newest set' }],
    exits: [...CLUSTER_EXITS, 'NOT_FOUND', 'VERIFY_FAILED'],
  })
    .argument('<set>', 'set id, or latest')
    .action(
      perform(async ({ withController, run }, _options: object, set: string) =>
        withController(async ({ controller }) => ({ type: 'set-detail', detail: await controller.showSet(set, run.signal) })),
      ),
    );
}

function verifyCommand(perform: Perform): Command {
  return verb('verify', 'Read a set back on every node and compare every byte with its hash', {
    examples: [{ line: 'stillpoint backup verify latest', about: 'the newest set' }],
    exits: [...CLUSTER_EXITS, 'BUSY', 'NOT_FOUND', 'VERIFY_FAILED'],
  })
    .argument('<set>', 'set id, or latest')
    .action(
      perform(async ({ withController, run }, _options: object, set: string) =>
        withController(async ({ controller }) => ({ type: 'verify', report: await controller.verifySet(set, run) })),
      ),
    );
}

function deleteCommand(perform: Perform): Command {
  return verb('delete', 'Delete a set from every node, for good', {
    examples: [{ line: 'stillpoint backup delete 20261121-091500-3fa94c01 --yes', about: 'ids come from `stillpoint backup list`' }],
    exits: [...CLUSTER_EXITS, 'BUSY', 'NOT_FOUND', 'DELETE_REFUSED'],
  })
    .argument('<set>', 'set id')
    .option('--yes', 'really do it')
    .action(
      perform(async ({ withController, run }, options: { yes?: true }, set: string) => {
        // What is newest may change between a look at the list and the deletion.
        if (set === 'latest')
          throw new StillpointError('USAGE', "latest is not accepted here: name the set's id", { hint: 'See `stillpoint backup list`.' });
        confirmed(options, `This would delete set ${set} from every node, for good.`);
        return withController(async ({ controller }) => ({ type: 'delete', report: await controller.deleteSet(set, run) }));
      }),
    );
}
