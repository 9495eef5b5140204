import { StillpointError } from '@stillpoint/shared/errors';

/** What to do when the service is configured in a way that cannot work. */
export const SERVICE_HINT = 'Correct `mariadb.service` in the configuration of the agent and restart the agent.';

/** SERVICE_FAILED that names the program. */
export const programMissing = (what: 'start' | 'stop', program: string, cause?: unknown): StillpointError =>
  new StillpointError('SERVICE_FAILED', `The server cannot ${what}: its program ${program} does not exist or may not be executed`, {
    hint: SERVICE_HINT,
    cause,
  });
