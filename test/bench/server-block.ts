import type { BackupReport } from '@stillpoint/controller';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { startWriter, type Writer } from '../harness/writer.ts';
import { type Figure, figure, ratios } from './measure.ts';

/** As a server in use would have it: room for the data in its cache, and commits that are durable. */
const SERVER = { innodb_buffer_pool_size: '512M', innodb_log_file_size: '256M', innodb_flush_log_at_trx_commit: '1' };
const NOTES = 'shop.unsafe_ticks';

const WAYS = ['gate', 'increment', 'locked'] as const;
type Way = (typeof WAYS)[number];
const NAMES: Readonly<Record<Way, string>> = {
  gate: 'by the gate',
  increment: 'increment under the lock',
  locked: 'full under the lock',
};

/** What clients feel of a backup of one server, captured in each of the ways: with so many gibibytes of data. */
export const measureServerBlock =
  (gibibytes: number) =>
  async (rounds: number, progress: (text: string) => void): Promise<Figure[]> => {
    progress(`a server with ${gibibytes} GiB`);
    const cluster = await startCluster({ replicas: 0, mebibytes: gibibytes * 1024, serverOptions: SERVER, backup: { maxBlock: '10m' } });
    try {
      await cluster.primary.server.sql(`CREATE TABLE ${NOTES} (n BIGINT PRIMARY KEY, at DATETIME(6) NOT NULL) ENGINE=MyISAM`);
      const felt: Record<Way, Round[]> = { gate: [], increment: [], locked: [] };
      for (let round = 0; round < rounds; round += 1)
        for (const way of round % 2 === 0 ? WAYS : WAYS.toReversed()) felt[way].push(await backUp(cluster, way, progress));
      return figuresOf(felt, `${gibibytes} GiB`);
    } finally {
      await cluster.remove();
    }
  };

function figuresOf(felt: Readonly<Record<Way, readonly Round[]>>, size: string): Figure[] {
  const of = (way: Way, key: keyof Round): number[] => felt[way].map((round) => round[key]);
  const full = of('locked', 'feltMs');
  return WAYS.flatMap((way) => [
    figure(`MariaDB block ${NAMES[way]}, ${size}`, 'ms', of(way, 'feltMs'), 'longest insert of a client, InnoDB'),
    figure(`the same, a client of MyISAM, ${size}`, 'ms', of(way, 'unsafeMs'), 'waits for stages of mariadb-backup too'),
    figure(`the same, as reported, ${size}`, 'ms', of(way, 'reportedMs')),
    ...(way === 'locked' ? [] : [figure(`${way} / full under the lock, ${size}`, 'x', ratios(zip(of(way, 'feltMs'), full)))]),
    figure(`whole backup ${NAMES[way]}, ${size}`, 's', of(way, 'totalS')),
  ]);
}

const zip = (some: readonly number[], others: readonly number[]): [number, number][] =>
  some.map((each, index) => [each, others[index] ?? Number.NaN]);

/** What clients felt of a backup. */
interface Round {
  readonly feltMs: number;
  readonly unsafeMs: number;
  readonly reportedMs: number;
  readonly totalS: number;
}

/** Makes a backup while two clients insert, and deletes it. */
async function backUp(cluster: TestCluster, capture: Way, progress: (text: string) => void): Promise<Round> {
  progress(`backup --capture ${capture}`);
  const probes = [cluster.writer(), unsafeWriter(cluster)];
  try {
    await eventually(() => probes.every((probe) => probe.written > 50));
    const windows = probes.map((probe) => probe.window());
    const startedAt = performance.now();
    const result = await cluster.ok('backup', 'create', '--capture', capture);
    const totalS = (performance.now() - startedAt) / 1000;
    const [feltMs = 0, unsafeMs = 0] = windows.map((window) => window().longestMs);
    const { set } = result.line<BackupReport>('backup');
    const has = (wanted: string): boolean => set.phases.some(({ phase }) => phase === wanted);
    const by = has('park') ? 'gate' : has('precopy') ? 'increment' : 'locked';
    if (by !== capture) throw new Error(`the image was taken by ${by}, and not by ${capture}`);
    await cluster.ok('backup', 'delete', set.setId, '--yes');
    return { feltMs, unsafeMs, reportedMs: Math.max(...set.members.map((member) => member.blockedMs)), totalS };
  } finally {
    await Promise.all(probes.map((writer) => writer.stop()));
  }
}

let next = 1;

/** Its table knows no transactions; each has numbers of its own. */
function unsafeWriter({ passwords, primary: { address, server } }: TestCluster): Writer {
  next += 1_000_000;
  return startWriter({ host: address, port: server.port, user: 'app', password: passwords.app, table: NOTES, first: next });
}
