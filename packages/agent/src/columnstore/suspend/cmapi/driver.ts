import { StillpointError } from '@stillpoint/shared/errors';
import { systemClock } from '@stillpoint/shared/time';
import type { ColumnstoreConfig } from '../../../config/schema.ts';
import type { Engine } from '../../types.ts';
import { within } from '../countdown.ts';
import { dbrmctlDriver } from '../dbrmctl-driver.ts';
import type { SuspendDriver, Way } from '../types.ts';
import { successOf } from './answers.ts';
import type { CmapiPlace } from './connect.ts';
import { readKey } from './key.ts';
import { requireIdle, setMode } from './mode.ts';
import { sendToCmapi } from './request.ts';

/** It asks every node in turn. */
const STATUS_MS = 10_000;
/** How long writers go on waiting for cmapi before `dbrmctl` does it: a node may be down, and cmapi waits minutes for that. */
const RESUME_MS = 5_000;
const UNDO_MS = 60_000;
const UNDO_PAUSE_MS = 500;

/**
 * The read-only flag of controllernode, set by way of cmapi: in a transaction with all of its nodes, so that no other operation of cmapi
 * falls between. Its own words on how the engine stands are not used: only the node with controllernode tells the truth, and not always.
 * What `dbrmctl` says counts; and it resumes when cmapi does not.
 */
export function cmapiDriver(engine: Engine, { cmapi }: Pick<ColumnstoreConfig, 'cmapi'>): SuspendDriver {
  const place: CmapiPlace = { url: new URL(cmapi.url).origin, ca: cmapi.ca };
  const dbrmctl = dbrmctlDriver(engine);
  const undoLate = (): Promise<void> => makeWritable(dbrmctl);
  let detour: string | undefined;

  const resumeByCmapi = async (signal: AbortSignal): Promise<void> => {
    const key = await readKey(cmapi.configFile);
    await setMode(place, key, { mode: 'readwrite', late: () => Promise.resolve() }, within(RESUME_MS, signal));
    const { mode, text } = await dbrmctl.status(signal);
    if (mode !== 'read-write') throw new Error(`cmapi says that the engine is read-write, dbrmctl says: ${text}`);
  };
  return {
    name: 'cmapi',
    require: async (signal) => {
      requireIdle(place);
      await requireWholeCluster(place, await readKey(cmapi.configFile), cmapi.configFile, signal);
    },
    status: dbrmctl.status,
    suspend: async (signal) => {
      const key = await readKey(cmapi.configFile);
      await setMode(place, key, { mode: 'readonly', late: undoLate }, signal).catch((error: unknown) => {
        if (signal.aborted) throw signal.reason;
        throw asStillpointError(error, 'SUSPEND_FAILED');
      });
    },
    resume: async (signal): Promise<Way> => {
      detour ??= await resumeByCmapi(signal).then(() => undefined, reasonOf);
      if (detour === undefined) return { by: 'cmapi', detour };
      signal.throwIfAborted();
      return { ...(await dbrmctl.resume(signal)), detour };
    },
  };
}

/** With a node that does not answer, cmapi would keep writers waiting for minutes, and then refuse. */
async function requireWholeCluster(place: CmapiPlace, key: string, keyFile: string, signal: AbortSignal): Promise<void> {
  const limit = within(STATUS_MS, signal);
  try {
    const sent = await sendToCmapi(place, key, { method: 'GET', path: '/cluster/status' }, { connecting: limit, answering: limit });
    const answer = await sent.answer;
    if (answer.status === 401) {
      throw new StillpointError('COLUMNSTORE_CONFIG', `cmapi at ${place.url} does not accept the API key of ${keyFile}`, {
        hint: 'Restart cmapi, which reads that file when it starts, or set `columnstore.cmapi.configFile` to the one that it reads.',
      });
    }
    if (successOf(answer).num_nodes !== 0) return;
    throw new StillpointError('COLUMNSTORE_CONFIG', `cmapi at ${place.url} manages no nodes`, {
      hint: 'Set `columnstore.suspend: dbrmctl` in agent.yaml.',
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw asStillpointError(error, 'ENGINE_NOT_READY');
  }
}

/** What a request did that was given up: writers have been let go by then, so the engine must not stay read-only. */
async function makeWritable(dbrmctl: SuspendDriver): Promise<void> {
  const signal = AbortSignal.timeout(UNDO_MS);
  while ((await dbrmctl.status(signal)).mode !== 'read-write') {
    await dbrmctl.resume(signal).catch(() => undefined);
    await systemClock.sleep(UNDO_PAUSE_MS, signal);
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const asStillpointError = (error: unknown, code: 'SUSPEND_FAILED' | 'ENGINE_NOT_READY'): StillpointError =>
  error instanceof StillpointError
    ? error
    : new StillpointError(code, `cmapi did not do as it was asked: ${reasonOf(error)}`, { cause: error });
