import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NAME_PATTERN } from '@stillpoint/shared/operation';
import { z } from 'zod';
import { namesIn, writeFileDurably } from '../host/index.ts';
import { linesName, recordName } from './place.ts';

const name = z.string().regex(NAME_PATTERN);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().nonnegative();

/** Another format is not understood, and not used. */
const FORMAT = 'stillpoint-precopied/1';

const recordSchema = z.strictObject({
  format: z.literal(FORMAT),
  cluster: name,
  node: name,
  /** Who copied it, and for which set. */
  operationId: name,
  setId: name,
  /** Boot of the host under which it was copied. */
  bootId: z.string().min(1),
  number: count,
  /** The dbroot: as it is configured, without links, and which directory it is on which file system, decimal. */
  path: z.string(),
  root: z.string(),
  device: z.string(),
  inode: z.string(),
  level: count,
  recipients: z.array(z.string()),
  /** The set that it is an increment of; empty for none. */
  parentSet: z.string(),
  /** Whole shards, in the order in which lines count them. */
  shards: z.array(z.strictObject({ name, bytes: count, sha256 })),
  /** How much of the file of lines is good, from its beginning. */
  lines: z.strictObject({ count, bytes: count, sha256 }),
});

/** What of a dbroot lies in whole shards, written down when a pass before the still point has ended. */
export type PrecopiedRecord = z.infer<typeof recordSchema>;

/** Who copies which dbroot, how, and under which boot of the host. */
export type Origin = Omit<PrecopiedRecord, 'format' | 'shards' | 'lines'>;

/** Writes it into the directory of the shards; after any crash the former one is there, or this. Throws the system's error. */
export const writeRecord = (directory: string, record: Omit<PrecopiedRecord, 'format'>): Promise<void> =>
  writeFileDurably(
    join(directory, recordName(record.number)),
    `${JSON.stringify({ format: FORMAT, ...record } satisfies PrecopiedRecord)}\n`,
  );

/** Those of a directory that can be understood. None where it is missing. Throws the system's error. */
export async function recordsIn(directory: string): Promise<PrecopiedRecord[]> {
  const records: PrecopiedRecord[] = [];
  for (const file of await namesIn(directory)) {
    const number = /^\.dbroot(\d+)\.precopied\.json$/.exec(file)?.[1];
    if (number === undefined) continue;
    const record = understood(await readFile(join(directory, file), 'utf8'));
    if (record?.number === Number(number)) records.push(record);
  }
  return records;
}

/** The files that a record is about, itself first: without it the others are nothing. Pure. */
export const filesOf = ({ number, shards }: Pick<PrecopiedRecord, 'number' | 'shards'>): string[] => [
  recordName(number),
  linesName(number),
  ...shards.map((shard) => shard.name),
];

/** Removes what records are about. Throws the system's error. */
export async function removePrecopied(directory: string, records: readonly PrecopiedRecord[]): Promise<void> {
  for (const record of records) for (const file of filesOf(record)) await rm(join(directory, file), { force: true });
}

/** Removes records of what has become an image, and their lines; the shards are the image's. Throws the system's error. */
export async function removeRecords(directory: string): Promise<void> {
  for (const { number } of await recordsIn(directory))
    for (const file of [recordName(number), linesName(number)]) await rm(join(directory, file), { force: true });
}

function understood(text: string): PrecopiedRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
