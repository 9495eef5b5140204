import { durationMs } from '@bufbuild/protobuf/wkt';
import { StillpointError } from '@stillpoint/shared/errors';
import type { MariadbPosition } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import { readPosition } from '../mariadb/position.ts';
import { accountOf, openSession, type Session } from '../mariadb/session.ts';
import { configuredSettings } from '../mariadb/settings.ts';
import { type ServiceDriver, type ServiceSurroundings, serviceDriver, serviceFailure } from '../service/index.ts';
import type { TaskDefinition } from '../task/types.ts';
import { realDatadir } from './places.ts';
import { mariadbOf, optionFileSettings } from './target.ts';

/** Stops the server by the configured service driver; a stopped one is fine. Throws SERVICE_FAILED. */
export const stopServerTask: TaskDefinition<'stopServer'> = {
  run: async (agent, _spec, task) => {
    const { driver } = await serverService(agent, task.signal);
    await driver.stop(task.signal);
    return {};
  },
};

const DEFAULT_TIMEOUT_MS = 120_000;

/** Starts the server by the configured service driver and waits until it answers; a running one is fine. Throws SERVICE_FAILED or ACCESS_DENIED. */
export const startServerTask: TaskDefinition<'startServer'> = {
  run: async (agent, { timeout }, task) => {
    const position = await startAndWait(agent, timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(timeout), task.signal);
    return { result: { case: 'startServer', value: { position } } };
  },
};

/** The service of the node's server by its present option file; without one, only the socket is known. */
export interface ServerService {
  readonly driver: ServiceDriver;
  readonly place: ServiceSurroundings;
}

/** Throws RESTORE_REFUSED on a node without a server, or TOOL_MISSING. */
export async function serverService(
  agent: Agent,
  signal: AbortSignal,
  read: typeof configuredSettings = configuredSettings,
): Promise<ServerService> {
  const config = mariadbOf(agent);
  const settings = await optionFileSettings(config, signal, read);
  const datadir = settings === undefined ? undefined : await realDatadir(settings.datadir);
  const place = { socket: config.socket, pidFile: settings?.pidFile ?? '', errorLog: settings?.errorLog ?? '', datadir };
  return { driver: serviceDriver(config.service, place), place };
}

const POLL_MS = 200;

/** Starts the server and waits until it takes the agent's account. Gives where its log stands. Throws SERVICE_FAILED or ACCESS_DENIED. */
export async function startAndWait(agent: Agent, timeoutMs: number, signal: AbortSignal): Promise<MariadbPosition> {
  const { driver, place } = await serverService(agent, signal);
  const deadline = agent.clock.monotonicMs() + timeoutMs;
  await driver.start(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])).catch(async (error: unknown) => {
    if (signal.aborted || deadline > agent.clock.monotonicMs()) throw error;
    throw await serviceFailure('start', `the service driver did not return within ${timeoutMs} ms`, place.errorLog, error);
  });
  const session = await answering(agent, { driver, place }, deadline, signal);
  try {
    return await readPosition(session, signal);
  } finally {
    await session.close();
  }
}

/** How long a started server may show no sign of life before it counts as ended, milliseconds: wrappers take their time. */
const SIGN_WITHIN_MS = 15_000;

async function answering(agent: Agent, { driver, place }: ServerService, deadline: number, signal: AbortSignal): Promise<Session> {
  const account = accountOf(mariadbOf(agent));
  let lastSign = agent.clock.monotonicMs();
  for (;;) {
    try {
      return await openSession(account, signal);
    } catch (error) {
      if (!(error instanceof StillpointError && error.code === 'SERVER_DOWN')) throw error;
      const now = agent.clock.monotonicMs();
      if (await driver.isRunning(signal)) lastSign = now;
      if (now >= deadline) throw await serviceFailure('start', `it did not answer in time: ${error.message}`, place.errorLog, error);
      if (now >= lastSign + SIGN_WITHIN_MS) throw await serviceFailure('start', 'it has ended again', place.errorLog, error);
      await agent.clock.sleep(POLL_MS, signal);
    }
  }
}
