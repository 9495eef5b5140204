/** The server as a service of this host: starting and stopping it, and telling whether it runs. */
export { checkService } from './check.ts';
export { lastErrors, type ServiceDriver, type ServiceSurroundings, serviceDriver, serviceFailure } from './driver.ts';
export { type ServerPlace, signOfServer } from './running.ts';
