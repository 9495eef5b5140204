import {
  addressSetting,
  type Bounds,
  boundsText,
  compressionSetting,
  durationSetting,
  HOLD_BOUNDS,
  ioniceSetting,
  isWithin,
  nameSetting,
  pathSetting,
  rateSetting,
  recipientSetting,
  tlsSetting,
} from '@stillpoint/shared/config';
import { z } from 'zod';

const tablePatterns = z.array(z.string().regex(/^[^.]+\.[^.]+$/, 'must be database.table, with * and ? as wildcards'));

const number = z.number().int().min(1).max(100_000).optional();

/** Which sets stay. */
const retentionSchema = z
  .strictObject({
    keepLast: number.describe('keep the newest so many good sets'),
    keepWithin: durationSetting.optional().describe('keep the sets that were cut within this time'),
    keepDaily: number.describe(
      'keep the newest set of each day, for the newest so many days that have one; days, weeks and months are those of UTC',
    ),
    keepWeekly: number.describe('the same with weeks, Monday to Sunday'),
    keepMonthly: number.describe('the same with months'),
    minimumGood: z.number().int().min(1).max(100_000).default(1).describe('so many of the newest good sets stay, whatever the rules say'),
  })
  .prefault({});

/** A duration within bounds: what lies outside would be refused in the midst of a backup. */
const bounded = (bounds: Bounds, ms: number) =>
  durationSetting.default(ms).refine((value) => isWithin(value, bounds), `must be ${boundsText(bounds)}`);

/** How backups are made unless the command line says otherwise. */
const backupSchema = z.strictObject({
  lockTimeout: bounded(HOLD_BOUNDS.lockTimeout, 5_000).describe('longest wait for a lock, and so longest stall of writers per attempt'),
  lockAttempts: z.number().int().min(1).max(100).default(5).describe('how often to try for the locks'),
  lockBackoff: durationSetting.default(5_000).describe('pause between two attempts'),
  lease: bounded(HOLD_BOUNDS.lease, 10_000).describe('how long a hold outlives a silent controller'),
  maxBlock: bounded(HOLD_BOUNDS.maxBlock, 60_000).describe('longest time writers may be shut out; over it the backup is aborted'),
  columnstore: z
    .strictObject({
      drainTimeout: durationSetting.default(20_000).describe('longest wait, with writers shut out, until no table lock is left'),
      cpimport: z
        .enum(['wait', 'refuse'])
        .default('wait')
        .describe('a bulk load that runs when the backup comes: wait for its end within drainTimeout, or refuse the backup'),
    })
    .prefault({}),
  capture: z
    .enum(['auto', 'reflink', 'precopy', 'gate', 'increment', 'locked'])
    .default('auto')
    .describe(
      'how images are taken: of dbroots, reflink clones the files while writers wait, precopy copies them before and then what has changed; of servers, gate has mariadb-backup wait for the lock with its last stages, increment copies everything before and then what has changed; what a word does not concern is taken as with auto, the best that each node can do; locked does everything while writers wait',
    ),
  precopyPasses: z
    .number()
    .int()
    .min(1)
    .max(20)
    .default(4)
    .describe('passes before an attempt, at most, while what has changed again would take writers longer than half of maxBlock'),
  compressionLevel: compressionSetting
    .default(3)
    .describe('zstd level; none stores data as it is, in zstd frames all the same, which every zstd reads'),
  encryption: z
    .strictObject({
      recipients: z
        .array(recipientSetting)
        .min(1)
        .max(20)
        .refine((recipients) => new Set(recipients).size === recipients.length, 'the same recipient is there twice')
        .describe('who can open the files; the holder of any one of the keys can'),
    })
    .optional()
    .describe('encrypt the files of every part in the format of age; see encryption.md'),
  throttle: rateSetting
    .optional()
    .describe('what each node may read and write for a backup; not while writers wait, which is as fast as can be whatever is set here'),
  nice: z.number().int().min(0).max(19).default(0).describe('niceness of work that no writer waits for'),
  ionice: ioniceSetting.optional().describe('class of input and output of work that no writer waits for'),
  incremental: z
    .strictObject({
      maxChain: z
        .number()
        .int()
        .min(1)
        .max(100)
        .default(7)
        .describe(
          'increments of a server that may follow a full image of it; the one after them is full again, as each takes a restore longer',
        ),
    })
    .prefault({}),
  parallel: z.number().int().min(1).max(64).default(2).describe('copy threads of mariadb-backup'),
  retention: retentionSchema.describe(
    'old sets are removed after each good backup, and by `stillpoint backup prune`; without any rule to keep, nothing is',
  ),
  probe: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe('write a row of stillpoint.probe all through the backup, to tell how long a client waits'),
      every: bounded(HOLD_BOUNDS.probeEvery, 5).describe('pause between two writes'),
    })
    .prefault({}),
  checksums: z
    .strictObject({
      enabled: z.boolean().default(true).describe('sum tables at the cut, so that a restore can prove them'),
      include: tablePatterns.default([]).describe('tables to sum, as database.table with * and ? as wildcards; none means all'),
      exclude: tablePatterns.default([]).describe('tables not to sum, written likewise'),
      connections: z.number().int().min(1).max(32).default(2).describe('how many tables are summed at a time on each node'),
    })
    .prefault({}),
});

/** `cluster.yaml`: the cluster, as the controller sees it. */
export const clusterConfigSchema = z.strictObject({
  cluster: nameSetting.describe('name of the cluster'),
  stateDir: pathSetting.default('/var/lib/stillpoint/controller').describe('journal and catalog'),
  tls: tlsSetting,
  nodes: z
    .array(
      z.strictObject({
        name: nameSetting.describe('name of the node, as in the configuration of its agent'),
        address: addressSetting.describe('where its agent serves'),
      }),
    )
    .min(1)
    .refine((nodes) => new Set(nodes.map((n) => n.name)).size === nodes.length, 'two nodes have the same name')
    .describe('the nodes of the cluster'),
  backup: backupSchema.prefault({}),
  clean: z
    .strictObject({
      olderThan: durationSetting
        .default(86_400_000)
        .describe('what was changed within this time is left alone by `stillpoint repository clean`'),
    })
    .prefault({}),
  restore: z
    .strictObject({
      prepareMemoryMiB: z.number().int().min(16).default(256).describe('memory for mariadb-backup --prepare on each node'),
      startTimeout: durationSetting.default(120_000).describe('longest time until a started server answers'),
    })
    .prefault({}),
});

export type ClusterConfig = z.infer<typeof clusterConfigSchema>;
export type BackupSettings = ClusterConfig['backup'];
export type RestoreSettings = ClusterConfig['restore'];
