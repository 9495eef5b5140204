import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BackupReport } from '@stillpoint/controller';
import { type Agents, startAgents } from '../columnstore/harness/agents.ts';
import { type ColumnstoreCluster, type ColumnstoreNode, startColumnstoreCluster } from '../columnstore/harness/cluster.ts';
import { makeShop, startShopWriter } from '../columnstore/harness/shop.ts';
import { eventually } from '../harness/eventually.ts';
import { type Figure, figure, ratios, timed } from './measure.ts';

const run = promisify(execFile);
/** Some 150 MB in all. */
const SALES = 1_000_000;
/** What is captured of a node: its dbroot, and the files of its server. */
const CAPTURED = ['columnstore', 'mysql'] as const;

/**
 * The real engine on three nodes of this machine, which a client writes to: how long each phase makes it wait, and how fast dbroots and servers
 * are captured under the lock, against the bare tools on copies of the same files. Needs the engine, and root.
 */
export async function measureColumnstore(rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  progress('starting three engines and loading them');
  const cluster = await startColumnstoreCluster({ nodes: 3 });
  try {
    await makeShop(cluster, SALES);
    const agents = await startAgents(cluster);
    const writer = startShopWriter(cluster.primary);
    await eventually(() => writer.written > 10);
    const taken: Round[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      progress(`round ${round}`);
      taken.push(await oneRound(cluster, agents, () => writer.window()));
    }
    await writer.stop();
    return [...blockFigures(taken), ...captureFigures(taken)];
  } finally {
    await cluster.remove();
  }
}

interface Round {
  /** By the strategies that the nodes choose. */
  readonly best: BackupReport;
  /** What the client felt of it, milliseconds. */
  readonly feltMs: number;
  readonly locked: BackupReport;
  readonly tarZstdMs: number;
  readonly rsyncMs: number;
}

async function oneRound(cluster: ColumnstoreCluster, agents: Agents, open: () => () => { readonly longestMs: number }): Promise<Round> {
  const window = open();
  const best = await backUp(agents);
  const feltMs = window().longestMs;
  const locked = await backUp(agents, '--capture', 'locked');
  await Promise.all(cluster.nodes.map(copyOut));
  const sources = cluster.nodes.flatMap((node) => CAPTURED.map((what) => join(copyOf(node), what)));
  const all = (command: (source: string) => string): Promise<number> =>
    timed(() => Promise.all(sources.map((source) => shell(command(source)))));
  const tarZstdMs = await all((source) => `tar -C ${source} -c . | zstd -T0 -3 -q -o ${source}.tar.zst`);
  const rsyncMs = await all((source) => `rsync -a ${source}/ ${source}.rsync`);
  for (const node of cluster.nodes) rmSync(copyOf(node), { recursive: true });
  return { best, feltMs, locked, tarZstdMs, rsyncMs };
}

const backUp = async (agents: Agents, ...options: readonly string[]): Promise<BackupReport> =>
  (await agents.ok('backup', 'create', '--no-checksums', ...options)).line<BackupReport>('backup');

const copyOf = ({ directory }: ColumnstoreNode): string => join(directory, 'copy');

/** The bytes that are captured, where this machine sees them. The client writes on meanwhile: the copy is as large as the image, not the same. */
async function copyOut(node: ColumnstoreNode): Promise<void> {
  const place = copyOf(node);
  const dbroots = node.dbroots.map((number) => `/var/lib/columnstore/data${number}`).join(' ');
  await node.sh(`mkdir -p ${place}/columnstore ${place}/mysql`);
  // A file that vanishes while it is copied is none of the yardstick's business.
  await node.run(
    `cp -a ${dbroots} ${place}/columnstore; cp -a /var/lib/mysql/. ${place}/mysql; rm -f ${place}/mysql/ib_logfile* ${place}/mysql/ibtmp*`,
  );
}

/** A pipe whose every part must succeed. */
const shell = (command: string): Promise<unknown> => run('bash', ['-c', `set -o pipefail; ${command}`]);

const phaseMs = ({ set }: BackupReport, phase: string): number => set.phases.find((each) => each.phase === phase)?.ms ?? 0;
const dataBytes = ({ set }: BackupReport): number => set.members.reduce((sum, member) => sum + member.dataBytes, 0);

function blockFigures(rounds: readonly Round[]): Figure[] {
  const phases = rounds[0]?.best.set.phases.filter(({ blocksWriters }) => blocksWriters).map(({ phase }) => phase) ?? [];
  return [
    figure(
      'longest insert of the client',
      'ms',
      rounds.map(({ feltMs }) => feltMs),
    ),
    ...phases.map((phase) =>
      figure(
        `in the block: ${phase}`,
        'ms',
        rounds.map(({ best }) => phaseMs(best, phase)),
      ),
    ),
  ];
}

function captureFigures(rounds: readonly Round[]): Figure[] {
  const nodes = rounds[0]?.locked.set.members.map(({ node }) => node) ?? [];
  const rate = (bytes: number, ms: number): number => bytes / 1e3 / ms;
  const captureMs = rounds.map(({ locked }) => phaseMs(locked, 'capture'));
  const megabytes = Math.round(dataBytes(rounds[0]?.locked as BackupReport) / 1e6);
  const member = ({ locked }: Round, node: string) => locked.set.members.find((each) => each.node === node);
  const nodeMs = (round: Round, node: string): number => member(round, node)?.phases.find(({ phase }) => phase === 'capture')?.ms ?? 0;
  return [
    ...nodes.map((node) =>
      figure(
        `capture under the lock, ${node}`,
        'MB/s',
        rounds.map((round) => rate(member(round, node)?.dataBytes ?? 0, nodeMs(round, node))),
      ),
    ),
    figure(
      'capture under the lock, in total',
      'MB/s',
      rounds.map(({ locked }, index) => rate(dataBytes(locked), captureMs[index] ?? 0)),
      `${megabytes} MB`,
    ),
    figure(
      'time, Stillpoint / tar | zstd -T0 -3',
      'x',
      ratios(rounds.map(({ tarZstdMs }, index) => [captureMs[index] ?? 0, tarZstdMs] as const)),
    ),
    figure('time, Stillpoint / rsync -a', 'x', ratios(rounds.map(({ rsyncMs }, index) => [captureMs[index] ?? 0, rsyncMs] as const))),
  ];
}
