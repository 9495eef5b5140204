import type { BackupReport } from '@stillpoint/controller';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { residentBytes } from '../harness/processes.ts';
import { type Figure, figure, largestWhile, pairs, ratios } from './measure.ts';

const MEBIBYTES = 64;
const BUSY_WRITERS = 4;

/** Block, skew and memory of a cluster of three: with one client that writes now and then, and with several that never pause. */
export async function measureBlock(rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  const cluster = await startCluster({ mebibytes: MEBIBYTES });
  try {
    const idle = Math.max(...residents(cluster));
    const results = await pairs(
      rounds,
      () => backUpUnder(cluster, 0, progress),
      () => backUpUnder(cluster, BUSY_WRITERS, progress),
    );
    const quiet = results.map(([one]) => one);
    const busy = results.map(([, other]) => other);
    const of = (some: readonly Round[], key: keyof Round): number[] => some.map((round) => round[key]);
    return [
      figure('block felt by a client, idle cluster', 'ms', of(quiet, 'feltMs'), `3 nodes of ${MEBIBYTES} MiB, longest insert`),
      figure('block felt by a client, busy cluster', 'ms', of(busy, 'feltMs'), `${BUSY_WRITERS} clients that never pause`),
      figure('busy / idle', 'x', ratios(results.map(([one, other]) => [other.feltMs, one.feltMs]))),
      figure('block as reported / as felt, idle', 'x', ratios(quiet.map((round) => [round.reportedMs, round.feltMs]))),
      figure('skew from first to last lock, idle', 'ms', of(quiet, 'skewMs')),
      figure('skew from first to last lock, busy', 'ms', of(busy, 'skewMs')),
      { name: 'memory of an agent, idle', unit: 'MB', value: idle / 1e6, note: 'resident, largest of three' },
      figure('memory of an agent, backing up', 'MB', of([...quiet, ...busy], 'residentMb')),
    ];
  } finally {
    await cluster.remove();
  }
}

interface Round {
  readonly feltMs: number;
  readonly reportedMs: number;
  readonly skewMs: number;
  readonly residentMb: number;
}

async function backUpUnder(cluster: TestCluster, clients: number, progress: (text: string) => void): Promise<Round> {
  progress(`backup with ${clients === 0 ? 'one probe' : `${clients} busy clients`}`);
  const probe = cluster.writer();
  const load = Array.from({ length: clients }, () => cluster.writer({ pauseMs: 0 }));
  try {
    await eventually(() => probe.written > 50);
    const window = probe.window();
    const { result, largest } = await largestWhile(
      () => Math.max(...residents(cluster)),
      () => cluster.ok('backup', 'create'),
    );
    const feltMs = window().longestMs;
    const { set } = result.line<BackupReport>('backup');
    await cluster.ok('backup', 'delete', set.setId, '--yes');
    const reportedMs = Math.max(...set.members.map((member) => member.blockedMs));
    return { feltMs, reportedMs, skewMs: set.holdSkewMs, residentMb: largest / 1e6 };
  } finally {
    await Promise.all([probe, ...load].map((writer) => writer.stop()));
  }
}

const residents = ({ nodes }: TestCluster): number[] => nodes.map(({ agent }) => residentBytes(agent.pid ?? 0));
