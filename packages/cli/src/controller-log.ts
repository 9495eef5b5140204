import type { ControllerLog } from '@stillpoint/controller';
import type { LogLevel, Renderer } from './ui/renderer.ts';

/**
 * Shows the log of the controller to its user. What concerns an operation reaches the user as its events and its error,
 * so the log of that is for `--log-level debug` only; other warnings always count.
 */
export function controllerLog(renderer: Renderer, level: LogLevel): ControllerLog {
  const tell = (fields: object, message: string): void => renderer.notice(`${message} (${inWords(fields)})`);
  return {
    info: (fields, message) => {
      if (level === 'debug') tell(fields, message);
    },
    warn: (fields, message) => {
      if (level === 'debug' || !('operation' in fields)) tell(fields, message);
    },
  };
}

const inWords = (fields: object): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(', ') : String(value)}`)
    .join('; ');
