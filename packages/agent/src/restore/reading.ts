import { readdir } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { journalDirectory, loadState, type RestoreState } from './state.ts';

/** Until its switch is under way, a restore of this node may have to read its set once more. */
const READING: readonly RestoreState['phase'][] = ['staging', 'staged'];

/** A restore of this node that has yet to read its set. */
export interface Reading {
  readonly operationId: string;
  /** Undefined when its journal cannot be read: then it may be any set. */
  readonly setId: string | undefined;
}

/** Restores of this node that have yet to read their sets, also those that nobody works on at present. */
export async function restoresReading(stateDir: string): Promise<Reading[]> {
  const names = await readdir(journalDirectory(stateDir)).catch(() => []);
  const readings: Reading[] = [];
  for (const name of names) {
    const operationId = /^(?!\.)(.+)\.json$/.exec(name)?.[1];
    if (operationId === undefined) continue;
    const state = await loadState(stateDir, operationId).catch(() => undefined);
    if (state === undefined) readings.push({ operationId, setId: undefined });
    else if (READING.includes(state.phase)) readings.push({ operationId, setId: state.setId });
  }
  return readings;
}

/** The restore that has yet to read a set; undefined when there is none. */
export const readerOf = (readings: readonly Reading[], setId: string): Reading | undefined =>
  readings.find((reading) => reading.setId === undefined || reading.setId === setId);

/** Throws RESTORE_UNFINISHED when a restore of this node has yet to read the set. */
export async function refuseWhileRead(stateDir: string, setId: string): Promise<void> {
  const reader = readerOf(await restoresReading(stateDir), setId);
  if (reader === undefined) return;
  throw new StillpointError(
    'RESTORE_UNFINISHED',
    reader.setId === undefined
      ? `The journal of restore ${reader.operationId} on this node cannot be read, so set ${setId} may be the one that it needs`
      : `Restore ${reader.operationId} on this node has yet to read set ${setId}`,
  );
}
