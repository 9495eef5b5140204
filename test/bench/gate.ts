import type { BackupReport } from '@stillpoint/controller';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { startWriter, type Writer } from '../harness/writer.ts';
import { type Figure, figure, pairs, ratios } from './measure.ts';

/** Room for the data in the server's cache, as a server in use would have it. */
export const SERVER = { innodb_buffer_pool_size: '512M', innodb_log_file_size: '256M' };
export const NOTES = 'shop.unsafe_ticks';

/** What clients feel of a backup of one server by the gate, and of the same under the lock: with so many gibibytes of data. */
export const measureGate =
  (gibibytes: number) =>
  async (rounds: number, progress: (text: string) => void): Promise<Figure[]> => {
    progress(`a server with ${gibibytes} GiB`);
    const cluster = await startCluster({ replicas: 0, mebibytes: gibibytes * 1024, serverOptions: SERVER, backup: { maxBlock: '10m' } });
    try {
      await cluster.primary.server.sql(`CREATE TABLE ${NOTES} (n BIGINT PRIMARY KEY, at DATETIME(6) NOT NULL) ENGINE=MyISAM`);
      const results = await pairs(
        rounds,
        () => backUp(cluster, 'gate', progress),
        () => backUp(cluster, 'locked', progress),
      );
      const gate = results.map(([one]) => one);
      const locked = results.map(([, other]) => other);
      const of = (some: readonly Round[], key: keyof Round): number[] => some.map((round) => round[key]);
      const size = `${gibibytes} GiB`;
      return [
        figure(`MariaDB block by the gate, ${size}`, 'ms', of(gate, 'feltMs'), 'longest insert of a client, InnoDB'),
        figure(`the same, a client of MyISAM, ${size}`, 'ms', of(gate, 'unsafeMs'), 'waits at the gate too'),
        figure(`the same, as reported, ${size}`, 'ms', of(gate, 'reportedMs')),
        figure(`MariaDB block, full under the lock, ${size}`, 'ms', of(locked, 'feltMs'), 'longest insert of a client, InnoDB'),
        figure(`gate / full under the lock, ${size}`, 'x', ratios(results.map(([one, other]) => [one.feltMs, other.feltMs]))),
        figure(`whole backup by the gate, ${size}`, 's', of(gate, 'totalS')),
        figure(`whole backup under the lock, ${size}`, 's', of(locked, 'totalS')),
      ];
    } finally {
      await cluster.remove();
    }
  };

/** What clients felt of a backup. */
export interface Round {
  readonly feltMs: number;
  readonly unsafeMs: number;
  readonly reportedMs: number;
  readonly totalS: number;
}

/** Makes a backup while two clients insert, and deletes it. */
export async function backUp(
  cluster: TestCluster,
  capture: 'gate' | 'increment' | 'locked',
  progress: (text: string) => void,
): Promise<Round> {
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
