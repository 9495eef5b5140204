import { startCluster } from '../harness/cluster.ts';
import { backUp, NOTES, type Round, SERVER } from './gate.ts';
import { type Figure, figure, pairs, ratios } from './measure.ts';

/**
 * What clients feel of a backup of one server that is copied before the lock, with what has changed since under it, and of the same under the lock:
 * with so many gibibytes of data.
 */
export const measureServerIncrement =
  (gibibytes: number) =>
  async (rounds: number, progress: (text: string) => void): Promise<Figure[]> => {
    progress(`a server with ${gibibytes} GiB`);
    const cluster = await startCluster({ replicas: 0, mebibytes: gibibytes * 1024, serverOptions: SERVER, backup: { maxBlock: '10m' } });
    try {
      await cluster.primary.server.sql(`CREATE TABLE ${NOTES} (n BIGINT PRIMARY KEY, at DATETIME(6) NOT NULL) ENGINE=MyISAM`);
      const results = await pairs(
        rounds,
        () => backUp(cluster, 'increment', progress),
        () => backUp(cluster, 'locked', progress),
      );
      const increment = results.map(([one]) => one);
      const locked = results.map(([, other]) => other);
      const of = (some: readonly Round[], key: keyof Round): number[] => some.map((round) => round[key]);
      const size = `${gibibytes} GiB`;
      return [
        figure(`MariaDB block, increment under the lock, ${size}`, 'ms', of(increment, 'feltMs'), 'longest insert of a client, InnoDB'),
        figure(`the same, a client of MyISAM, ${size}`, 'ms', of(increment, 'unsafeMs'), 'waits for the copy before the lock too'),
        figure(`the same, as reported, ${size}`, 'ms', of(increment, 'reportedMs')),
        figure(`MariaDB block, full under the lock, ${size}`, 'ms', of(locked, 'feltMs'), 'longest insert of a client, InnoDB'),
        figure(`increment / full under the lock, ${size}`, 'x', ratios(results.map(([one, other]) => [one.feltMs, other.feltMs]))),
        figure(`whole backup, increment under the lock, ${size}`, 's', of(increment, 'totalS')),
        figure(`whole backup, full under the lock, ${size}`, 's', of(locked, 'totalS')),
      ];
    } finally {
      await cluster.remove();
    }
  };
