import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';
import { z } from 'zod';
import { readBootId, removeFileDurably, writeFileDurably } from '../../host/index.ts';
import type { DriverName, Stand } from './types.ts';

/** What was about to be suspended, by whom; so that whoever comes after a crash can tell our suspension from any other. */
export interface SuspensionRecord {
  readonly operationId: string;
  readonly driver: DriverName;
  /** The process in whose memory the flag is. */
  readonly controllerPid: number;
  /** Clock ticks since boot. */
  readonly controllerStarted: bigint;
  /** Names the boot that pid and ticks are of. */
  readonly bootId: string;
  /** When the request was made. */
  readonly at: Date;
  /** True when the engine was seen read-only after it; else the request may be waiting still, and be carried out later. */
  readonly isConfirmed: boolean;
}

const recordSchema = z.strictObject({
  operationId: z.string().min(1),
  driver: z.enum(['dbrmctl', 'cmapi', 'mcsadmin']),
  controllerPid: z.int().nonnegative(),
  controllerStarted: z.string().regex(/^\d+$/).transform(BigInt),
  bootId: z.string(),
  at: z.iso.datetime().transform((text) => new Date(text)),
  isConfirmed: z.boolean().default(false),
});

const fileOf = (stateDir: string): string => join(stateDir, 'suspension.json');

/** Writes down that the engine is about to be suspended; on disk when this returns. To be done in `beforeFlag`. Throws the system's error. */
export async function recordSuspension(
  stateDir: string,
  {
    operationId,
    driver,
    stand,
    at,
    isConfirmed,
  }: Pick<SuspensionRecord, 'operationId' | 'driver' | 'at' | 'isConfirmed'> & { readonly stand: Stand },
): Promise<void> {
  const record = {
    operationId,
    driver,
    controllerPid: stand.controllerPid,
    controllerStarted: String(stand.controllerStarted),
    bootId: await readBootId(),
    at: at.toISOString(),
    isConfirmed,
  };
  await writeFileDurably(fileOf(stateDir), `${JSON.stringify(record)}\n`);
}

/** The suspension on record; undefined when there is none. Throws INTERNAL, with what to do, when it cannot be read. */
export async function readSuspension(stateDir: string): Promise<SuspensionRecord | undefined> {
  const file = fileOf(stateDir);
  try {
    return recordSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
}

/** Removes the record: the engine was seen read-write, or its suspension is not ours. Throws the system's error. */
export const forgetSuspension = (stateDir: string): Promise<void> => removeFileDurably(fileOf(stateDir));

const unreadable = (file: string, cause: unknown): StillpointError =>
  new StillpointError(
    'INTERNAL',
    `The record of a suspension, ${file}, cannot be read: ${(cause as Error).message.replaceAll(/\s+/g, ' ')}`,
    {
      hint: 'If `dbrmctl status` says that the engine is read-only and no backup runs, run `dbrmctl readwrite` on the primary; then remove the file.',
      cause,
    },
  );
