import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BackupReport, RestorePlan, RestoreReport } from '@stillpoint/controller';
import type { PartManifest } from '@stillpoint/shared/manifest';
import type { Ended } from '../harness/cli.ts';
import { startCluster, type TestCluster } from '../harness/cluster.ts';
import { type Figure, figure, pairs, ratios, timed } from './measure.ts';

const MEBIBYTES = 256;
const run = promisify(execFile);

/** Capture and restore of one server against the bare tools on the same data. One node: all of the machine is for each of the two. */
export async function measureThroughput(rounds: number, progress: (text: string) => void): Promise<Figure[]> {
  const cluster = await startCluster({ replicas: 0, mebibytes: MEBIBYTES, backup: { maxBlock: '10m' } });
  try {
    const place = join(cluster.directory, 'plain');
    mkdirSync(place);
    const backups = await pairs(
      rounds,
      () => captureByProduct(cluster, progress),
      () => captureByTools(cluster, place, progress),
    );
    const restores = await pairs(
      rounds,
      () => restoreByProduct(cluster, progress),
      () => restoreByTools(place, progress),
    );
    const bytes = backups[0]?.[0].dataBytes ?? 0;
    const rate = (ms: number): number => bytes / 1e3 / ms;
    const captures = backups.map(([{ ms }, plain]) => [ms, plain] as const);
    return [
      figure(
        'capture, Stillpoint',
        'MB/s',
        captures.map(([ms]) => rate(ms)),
        `${Math.round(bytes / 1e6)} MB of server files, hashed`,
      ),
      figure(
        'capture, mariadb-backup | zstd',
        'MB/s',
        captures.map(([, plain]) => rate(plain)),
      ),
      figure('time of capture, Stillpoint / plain', 'x', ratios(captures)),
      figure(
        'stage, Stillpoint',
        'MB/s',
        restores.map(([ms]) => rate(ms)),
        'hashes, --prepare, boot and table checksums included',
      ),
      figure(
        'zstd | mbstream and --prepare',
        'MB/s',
        restores.map(([, plain]) => rate(plain)),
      ),
      figure('time of staging, Stillpoint / plain', 'x', ratios(restores)),
    ];
  } finally {
    await cluster.remove();
  }
}

async function captureByProduct(cluster: TestCluster, progress: (text: string) => void): Promise<{ ms: number; dataBytes: number }> {
  progress('capture by Stillpoint');
  const { set } = (await cluster.ok('backup', 'create')).line<BackupReport>('backup');
  const shown = (await cluster.ok('backup', 'show', set.setId)).line<{ parts: { part: PartManifest }[] }>('set-detail');
  return { ms: shown.parts[0]?.part.timings.captureMs ?? Number.NaN, dataBytes: set.members[0]?.dataBytes ?? 0 };
}

async function captureByTools(cluster: TestCluster, place: string, progress: (text: string) => void): Promise<number> {
  progress('capture by mariadb-backup | zstd');
  const { server } = cluster.primary;
  const work = join(place, 'work');
  mkdirSync(work);
  const backup = `mariadb-backup --defaults-file=${server.defaultsFile} --backup --stream=mbstream --parallel=2 --target-dir=${work} -u root -S ${server.socket}`;
  const ms = await timed(() => shell(`${backup} | zstd -3 -q -f -o ${join(place, 'plain.zst')}`));
  rmSync(work, { recursive: true });
  return ms;
}

async function restoreByProduct(cluster: TestCluster, progress: (text: string) => void): Promise<number> {
  progress('staging by Stillpoint');
  const { id } = (await cluster.ok('restore', 'plan', 'latest')).line<RestorePlan>('restore-plan');
  const ended = await cluster.ok('restore', 'run', id, '--stop-servers');
  await cluster.ok('restore', 'finish', ended.line<RestoreReport>('restore').operationId, '--yes');
  return phaseMs(ended, 'stage');
}

async function restoreByTools(place: string, progress: (text: string) => void): Promise<number> {
  progress('staging by zstd | mbstream and --prepare');
  const target = join(place, 'restored');
  mkdirSync(target);
  const ms = await timed(() =>
    shell(
      `zstd -dc ${join(place, 'plain.zst')} | mbstream -x -C ${target} && mariadb-backup --prepare --use-memory=256M --target-dir=${target}`,
    ),
  );
  rmSync(target, { recursive: true });
  return ms;
}

const phaseMs = (ended: Ended, phase: string): number =>
  ended.all<{ phase: string; ms: number }>('phase-ended').find((line) => line.phase === phase)?.ms ?? Number.NaN;

/** A pipe whose every part must succeed. */
async function shell(command: string): Promise<void> {
  await run('bash', ['-c', `set -o pipefail; ${command}`], { maxBuffer: 64 * 1024 * 1024 });
}
