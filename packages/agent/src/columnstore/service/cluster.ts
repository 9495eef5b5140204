import { StillpointError } from '@stillpoint/shared/errors';
import { successOf } from '../suspend/cmapi/answers.ts';
import { readKey } from '../suspend/cmapi/key.ts';
import { sendToCmapi } from '../suspend/cmapi/request.ts';
import type { EngineService, ServiceSurroundings } from './driver.ts';
import { CMAPI, ENGINE_PROGRAMS, runningProcesses } from './processes.ts';
import { stagedProcesses } from './stages.ts';
import { CMAPI_UNIT, systemctl } from './unit.ts';

/** It pushes its configuration to every node, two minutes and five tries for each. */
const REQUEST_MS = 1_200_000;
/** A request to see whether it answers. */
const READY_MS = 5_000;
const POLL_MS = 500;

/**
 * A cluster that cmapi manages. Stage 1 is cmapi itself, by its unit on every node: while it runs it could start the engine. Stage 2 is the
 * engine: the cmapi of the primary speaks for the whole cluster, and the other nodes are seen to follow.
 */
export function clusterService({ engine, config, clock }: ServiceSurroundings): EngineService {
  const cmapiStage = stagedProcesses(engine, config.service).find(({ name }) => name === CMAPI)?.stage;
  const place = { url: new URL(config.cmapi.url).origin, ca: config.cmapi.ca };
  const send = async (what: 'start' | 'shutdown' | 'status', timeoutMs: number, signal: AbortSignal): Promise<void> => {
    const key = await readKey(config.cmapi.configFile);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const request =
      what === 'status'
        ? ({ method: 'GET', path: '/node/status' } as const)
        : ({ method: 'PUT', path: `/cluster/${what}`, body: {} } as const);
    const sent = await sendToCmapi(place, key, request, { connecting: limit, answering: limit });
    successOf(await sent.answer);
  };
  const ask = async (what: 'start' | 'shutdown', signal: AbortSignal): Promise<void> => {
    if (!engine.isPrimary) return;
    await send(what, REQUEST_MS, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      throw refused(`cmapi did not ${what === 'start' ? 'start' : 'shut down'} the cluster`, error);
    });
  };
  const untilReady = async (signal: AbortSignal): Promise<void> => {
    for (;;) {
      const ready = await send('status', READY_MS, signal).then(
        () => true,
        () => false,
      );
      if (ready) return;
      await clock.sleep(POLL_MS, signal);
    }
  };
  return {
    start: async (stage, signal) => {
      if (stage !== cmapiStage) return ask('start', signal);
      await systemctl('start', CMAPI_UNIT, signal);
      await untilReady(signal);
    },
    stop: async (stage, signal) => {
      if (stage === cmapiStage) return systemctl('stop', CMAPI_UNIT, signal);
      // Where cmapi is stopped already there is nobody to ask; what still runs is told then.
      if ((await runningProcesses([...ENGINE_PROGRAMS, CMAPI])).length > 0) await ask('shutdown', signal);
    },
  };
}

function refused(what: string, cause: unknown): StillpointError {
  if (cause instanceof StillpointError) return cause;
  return new StillpointError('ENGINE_SERVICE_FAILED', `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
