import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { timed } from '../measure.ts';
import { emptied, shell } from './tasks.ts';

/** Where the dbroots lie, where a way may write, and which of them. */
export interface Ground {
  readonly data: string;
  readonly work: string;
  readonly numbers: readonly number[];
}

/** A program that could be used instead: milliseconds that it takes. */
type Yardstick = (ground: Ground) => Promise<number>;

const has = (program: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
};

const eachOf =
  (command: (from: string, to: string) => string, below: boolean): Yardstick =>
  async ({ data, work, numbers }) => {
    const place = await emptied(join(work, 'yardstick'), ...(below ? numbers.map((number) => `data${number}`) : []));
    return timed(() => Promise.all(numbers.map((number) => shell(command(`${data}/data${number}`, `${place}/data${number}`)))));
  };

const tarZstd = (level: number): Yardstick => eachOf((from, to) => `tar -C ${from} -c . | zstd -T0 -${level} -q -o ${to}.tar.zst`, false);

const restic: Yardstick = async ({ data, work, numbers }) => {
  const repository = join(await emptied(join(work, 'yardstick')), 'restic');
  const command = `RESTIC_PASSWORD=bench RESTIC_CACHE_DIR=${work}/yardstick/cache restic -q -r ${repository}`;
  await shell(`${command} init`);
  return timed(() => shell(`${command} backup ${numbers.map((number) => `${data}/data${number}`).join(' ')}`));
};

/** By name, as figures show them; those of programs that are not installed are missing. */
export const CAPTURE_YARDSTICKS: Readonly<Record<string, Yardstick>> = {
  'tar | zstd -T0 -1': tarZstd(1),
  'tar | zstd -T0 -3': tarZstd(3),
  'rsync -a': eachOf((from, to) => `rsync -a ${from}/ ${to}`, false),
  ...(has('pigz') && { 'tar | pigz': eachOf((from, to) => `tar -C ${from} -c . | pigz >${to}.tar.gz`, false) }),
  ...(has('restic') && { restic }),
};

/** Unpacks what `tar | zstd -1` made, which is made here without being counted. */
export async function untar({ data, work, numbers }: Ground): Promise<number> {
  const archives = join(work, 'archives');
  await emptied(archives);
  await Promise.all(numbers.map((number) => shell(`tar -C ${data}/data${number} -c . | zstd -T0 -1 -q -o ${archives}/${number}.tar.zst`)));
  const place = await emptied(join(work, 'yardstick'), ...numbers.map((number) => `data${number}`));
  const ms = await timed(() =>
    Promise.all(numbers.map((number) => shell(`zstd -dc ${archives}/${number}.tar.zst | tar -x -C ${place}/data${number}`))),
  );
  rmSync(archives, { recursive: true });
  return ms;
}
