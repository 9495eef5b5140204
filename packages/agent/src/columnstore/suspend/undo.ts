import { isAbort, StillpointError } from '@stillpoint/shared/errors';
import { readBootId } from '../../host/index.ts';
import { findController } from '../engine/controller.ts';
import type { ControlParts } from './parts.ts';
import { forgetSuspension, readSuspension, type SuspensionRecord } from './record.ts';
import { resume } from './resume.ts';
import type { Bound, Resumed } from './types.ts';

/** What became of a suspension that was on record. */
export type Undone =
  /** There was none. */
  | { readonly kind: 'none' }
  /** It was still in force, and is no more. */
  | { readonly kind: 'resumed'; readonly operationId: string; readonly resumed: Resumed }
  /** It was over already, or its flag went with controllernode. */
  | { readonly kind: 'over'; readonly operationId: string; readonly message: string }
  /** The engine is read-only, but not by us: it was left like that. */
  | { readonly kind: 'left'; readonly operationId: string; readonly message: string }
  /** The engine or the record cannot be read. The record is still there: to be tried again. */
  | { readonly kind: 'unknown'; readonly message: string };

/**
 * A request that nobody has seen answered may be carried out for so long after it was made: cmapi waits five minutes for its nodes, and
 * controllernode for a workernode as long. Whoever made it may be dead by then.
 */
const MAY_COME_MS = 330_000;
const PAUSE_MS = 1_000;

/**
 * Undoes what an earlier life of this agent suspended: by the record of it, and only while the flag is in the memory of that same
 * controllernode (mcsadmin's is on disk). Then drops the record. While the request may be carried out yet it is taken back, and watched for,
 * for some minutes; nobody should wait for that: `looked` is called when it has looked for the first time. It ends when another operation
 * suspends. Throws RESUME_FAILED, with the record still there, or the signal's reason.
 */
export async function undoSuspension(parts: ControlParts, stateDir: string, bound: Bound, looked = (): void => undefined): Promise<Undone> {
  const first = await readRecord(stateDir);
  if (first === undefined) return { kind: 'none' };
  if (first instanceof StillpointError) return { kind: 'unknown', message: `${first.message}. ${first.hint}` };
  for (let isFirst = true; ; isFirst = false) {
    const mayCome = await mayComeYet(parts, first);
    const undone = await undoOnce(parts, first, bound, mayCome && isFirst);
    looked();
    // Seen read-only and resumed, it has come.
    if (undone.kind !== 'over' || !mayCome) return await concluded(undone, first, stateDir);
    await parts.clock.sleep(PAUSE_MS, bound.signal);
    if (!(await isStill(first, stateDir))) return undone;
  }
}

async function mayComeYet(parts: ControlParts, record: SuspensionRecord): Promise<boolean> {
  if (record.isConfirmed || parts.clock.now().getTime() >= record.at.getTime() + MAY_COME_MS) return false;
  // What waits in controllernode ends with it.
  return record.driver !== 'dbrmctl' || (await isSameController(parts, record));
}

/**
 * Resumes an engine that came up suspended, as one does whose image was taken under mcsadmin: its flag is a part of the data. True when it
 * was, and is no more. Elsewhere a read-only engine has a fault, and is left alone. Throws RESUME_FAILED or the signal's reason.
 */
export async function resumeIfSuspended(parts: ControlParts, bound: Bound): Promise<boolean> {
  if (parts.driver.name !== 'mcsadmin' || !parts.engine.isPrimary) return false;
  const { mode } = await parts.driver.status(bound.signal);
  if (mode !== 'read-only') return false;
  await resume(parts, bound);
  return true;
}

async function undoOnce(parts: ControlParts, record: SuspensionRecord, bound: Bound, takeBack: boolean): Promise<Undone> {
  const { operationId } = record;
  const { mode, text } = await parts.driver.status(bound.signal);
  if (mode === 'read-write') {
    if (takeBack) await resume(parts, bound, { mayComeYet: true });
    return { kind: 'over', operationId, message: `The engine is read-write: ${text}` };
  }
  const isSame = record.driver === 'mcsadmin' || (await isSameController(parts, record));
  if (mode === 'read-only') {
    if (isSame) return { kind: 'resumed', operationId, resumed: await resume(parts, bound, { isSurelyReadOnly: true }) };
    const message = `The engine is read-only (${text}), but since ${operationId} suspended it controllernode was restarted: it was not Stillpoint`;
    return { kind: 'left', operationId, message };
  }
  if (isSame) return { kind: 'unknown', message: `${operationId} suspended the engine, which does not answer: ${text}` };
  return { kind: 'over', operationId, message: `controllernode, which ${operationId} made read-only, runs no more: ${text}` };
}

async function isSameController({ processes }: ControlParts, record: SuspensionRecord): Promise<boolean> {
  const controller = await findController(processes);
  const isSame = controller?.pid === record.controllerPid && controller.startedTicks === record.controllerStarted;
  return isSame && (await readBootId()) === record.bootId;
}

async function concluded(undone: Undone, record: SuspensionRecord, stateDir: string): Promise<Undone> {
  if (undone.kind !== 'unknown' && (await isStill(record, stateDir))) await forgetSuspension(stateDir);
  return undone;
}

async function isStill(record: SuspensionRecord, stateDir: string): Promise<boolean> {
  const now = await readRecord(stateDir);
  return now !== undefined && !(now instanceof StillpointError) && now.operationId === record.operationId;
}

async function readRecord(stateDir: string): Promise<SuspensionRecord | StillpointError | undefined> {
  return await readSuspension(stateDir).catch((error: unknown) => {
    if (error instanceof StillpointError && !isAbort(error)) return error;
    throw error;
  });
}
