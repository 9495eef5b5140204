import { type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { Finding } from '../ui/result.ts';

/** Collects what was found in one configuration file. */
export interface Findings {
  readonly all: readonly Finding[];
  ok(key: string, message: string): void;
  warning(key: string, message: string, hint: string): void;
  failed(key: string, message: string, hint: string, error?: StillpointError): void;
  /** Runs a look; what it throws is a finding, one for each line of its message. Undefined after that. */
  look<T>(key: string, run: () => T): T | undefined;
}

/** Nothing found yet in a file. */
export function findingsOf(file: string): Findings {
  const all: Finding[] = [];
  const failed: Findings['failed'] = (key, message, hint, error) => {
    all.push({ file, key, status: 'failed', message, hint, ...(error === undefined ? {} : { error }) });
  };
  return {
    all,
    ok: (key, message) => void all.push({ file, key, status: 'ok', message, hint: '' }),
    warning: (key, message, hint) => void all.push({ file, key, status: 'warning', message, hint }),
    failed,
    look: (key, run) => {
      try {
        return run();
      } catch (thrown) {
        const error = toStillpointError(thrown);
        const lines = error.message.split('\n');
        for (const [at, line] of lines.entries()) failed(key, line, at === lines.length - 1 ? error.hint : '', error);
        return undefined;
      }
    },
  };
}
