import { posix } from 'node:path';
import { type BorrowedShard, borrowedOf, imagesOf, type PartManifest, type SetManifest, type Shard } from '@stillpoint/shared/manifest';
import { currentGtidPosition } from '@stillpoint/shared/replication';
import { engineSteps } from './engine-instructions.ts';
import { command, contentOf, pathOf, quote } from './shell.ts';

/** A part as it lies in a repository. */
export interface StoredPart {
  /** Where it lies. */
  readonly directory: string;
  readonly part: PartManifest;
  /** Undefined when it is not known here: then as distributions have it. */
  readonly server: ServerCommands | undefined;
}

/** How a node's server is found, started and stopped: argument vectors. */
export interface ServerCommands {
  readonly defaultsFile: string;
  readonly start: readonly string[];
  readonly stop: readonly string[];
}

const USUAL: ServerCommands = {
  defaultsFile: '/etc/mysql/my.cnf',
  start: ['systemctl', 'start', 'mariadb'],
  stop: ['systemctl', 'stop', 'mariadb'],
};

const NEEDED_TO_OPEN = `# The files are encrypted: age is needed, and the identity of one of the recipients that are named below, in a file.
`;

/** One increment of the server's image. */
const applying = (
  image: Shard | BorrowedShard,
  index: number,
): string => `Apply increment ${index + 1}. If this is interrupted, remove "$WORK" and "$WORK".increment and begin again with the
# first step that extracts: gone on with, it can lose tables without a word.
mkdir -m 700 "$WORK".increment
${contentOf(image)} | mbstream -x -C "$WORK".increment
test -s "$WORK".increment/xtrabackup_info
mariadb-backup --prepare --target-dir="$WORK" --incremental-dir="$WORK".increment
rm -r "$WORK".increment`;

/**
 * HOW-TO-RESTORE.txt: a shell script with explanations, one section a part, that restores it with the tools of the
 * distribution alone. What a person has to decide stands in the variables at its head.
 */
export function restoreInstructions(set: SetManifest, parts: readonly StoredPart[]): string {
  const head = `# How to restore set ${set.setId} of cluster ${set.cluster} by hand.
#
# The set is the state of all its nodes at one instant, ${set.cutAt}.
# Nodes: ${set.members.map(({ node, roles }) => `${node} (${roles.join(', ')})`).join(', ')}.
# Needed: zstd, tar, mbstream and mariadb-backup of the same series as the server, and nothing of Stillpoint.
${parts.some(({ part }) => part.encryption !== undefined) ? NEEDED_TO_OPEN : ''}# Run a section as root, on the node it names, line by line, in bash. Stop at the first command that fails.
`;
  const primary = set.columnstore?.primary ?? '';
  return [head, ...parts.map((part) => section(part, primary))].join('\n');
}

function section({ directory, part, server = USUAL }: StoredPart, primary: string): string {
  const [full, ...increments] = imagesOf(part);
  const configuration = part.shards.find(({ content }) => content === 'configuration');
  const borrowed = borrowedOf(part);
  const engine = part.columnstore === undefined ? undefined : engineSteps(part.columnstore, primary);
  const steps = [
    `${variables(directory, part, server)}${engine?.variables ?? ''}`,
    checkBytes([
      ...part.shards.map((shard) => ({ ...shard, path: pathOf(shard.name) })),
      ...borrowed.map((shard) => ({ ...shard, path: pathOf(shard) })),
    ]),
    ...(full === undefined ? [] : preparing(full, increments, part)),
    ...(engine?.before ?? []),
    ...(engine?.inPlace ?? []),
    ...(full === undefined ? [] : inPlace(server)),
    ...(configuration === undefined ? [] : [configurationStep(configuration)]),
    ...(engine?.after ?? []),
  ];
  return [`# ---- node ${part.node} ----`, ...steps.map((step, index) => `# ${index + 1}. ${step}`), ''].join('\n\n');
}

const variables = (directory: string, part: PartManifest, { defaultsFile }: ServerCommands): string => {
  const { encryption, mariadb, setId, node } = part;
  return `Where things are. Correct these if they have moved.
PART=${quote(directory)}
${borrowedOf(part).length === 0 ? '' : `# This set is an increment: it needs files of other sets too, below the directory of all of them.\nSETS=${quote(posix.dirname(posix.dirname(directory)))}\n`}WORK=${quote(`/var/tmp/restore-${setId}-${node}`)}
${encryption === undefined ? '' : `# The identity of one of ${encryption.recipients.join(', ')}\nKEY=/root/identity.txt\n`}${
  mariadb === undefined
    ? ''
    : `DATADIR=${quote(mariadb.datadir)}
DEFAULTS=${quote(defaultsFile)}
OWNER=$(stat -c %U:%G "$DATADIR" || echo mysql:mysql)
GTID=${quote(currentGtidPosition(mariadb.position.gtidBinlogPos, mariadb.position.gtidSlavePos))}
`
}`;
};

const checkBytes = (
  shards: readonly { readonly path: string; readonly sha256: string }[],
): string => `Compare every byte with what was written.
${shards.map(({ path, sha256 }) => `echo ${quote(`${sha256}  `)}${path} | sha256sum -c -`).join('\n')}`;

function preparing(full: Shard | BorrowedShard, increments: readonly (Shard | BorrowedShard)[], { mariadb }: PartManifest): string[] {
  const version = mariadb?.version ?? '';
  return [
    `Extract. mbstream says nothing about a missing end, so look for the file that comes last.
mkdir -m 700 "$WORK"
${contentOf(full)} | mbstream -x -C "$WORK"
test -s "$WORK"/xtrabackup_info`,
    `Prepare: without it the server would start on it all the same, with wrong data (server: ${version}).
mariadb-backup --prepare --target-dir="$WORK"
grep 'backup_type = log-applied' "$WORK"/xtrabackup_checkpoints`,
    ...increments.map(applying),
    `Tell the data its place in the history of transactions. Otherwise the server would number its next
# transaction like one that is long gone, and replicas would take the one for the other.
# Nobody else can reach this server.
chown -R "$OWNER" "$WORK"
RUN=$(mktemp -d)
chown "$OWNER" "$RUN"
mariadbd --defaults-file="$DEFAULTS" --user="\${OWNER%%:*}" --datadir="$WORK" --socket="$RUN"/s.sock --pid-file="$RUN"/s.pid \\
  --log-error="$RUN"/error.log --tmpdir="$RUN" --skip-networking --skip-grant-tables --skip-log-bin --skip-slave-start --event-scheduler=OFF \\
  --innodb-data-home-dir= --innodb-log-group-home-dir=./ --innodb-undo-directory=./ --aria-log-dir-path="$WORK" &
until mariadb-admin --no-defaults --socket="$RUN"/s.sock --silent ping; do sleep 1; kill -0 $!; done
test -z "$GTID" || mariadb --no-defaults --socket="$RUN"/s.sock --execute="SET GLOBAL gtid_slave_pos = '$GTID'"
mariadb-admin --no-defaults --socket="$RUN"/s.sock shutdown
wait
rm -r "$RUN"`,
  ];
}

const inPlace = ({ start, stop }: ServerCommands): string[] => [
  `Put it in the place of the present data, which is kept. If log_bin or relay_log lie outside of the data
# directory, move those files away as well.
# Directories below it that settings name, log_bin=logs/bin for example, are not in the image: make them again.
${command(stop)}
mkdir -p -m 700 "$DATADIR" "$DATADIR".before-restore
find "$DATADIR" -mindepth 1 -maxdepth 1 -exec mv -t "$DATADIR".before-restore {} +
cp -a "$WORK"/. "$DATADIR"/
chown -R "$OWNER" "$DATADIR"
${command(start)}`,
  `A replica then goes on from there with these statements:
#   CHANGE MASTER TO MASTER_HOST='...', MASTER_USER='...', MASTER_PASSWORD='...', MASTER_USE_GTID=slave_pos;
#   START SLAVE;
# When all is well: rm -r "$WORK" "$DATADIR".before-restore`,
];

const configurationStep = ({ name }: Shard): string => `The configuration files as they were, to compare and copy.
mkdir -p "$WORK".configuration
${contentOf(name)} | tar -x -C "$WORK".configuration`;
