import type { Clock } from '@stillpoint/shared/time';
import { liveProgress } from './progress/live.ts';
import { plainProgress } from './progress/plain.ts';
import type { LogLevel, Renderer } from './renderer.ts';
import { styleOf } from './style.ts';
import { errorText, resultText } from './text/index.ts';

/** A stream of the process. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

interface TextOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly colour: boolean;
  readonly level: LogLevel;
  readonly clock: Clock;
}

/** Text for people: results on stdout; commentary and errors on stderr, live where that is a terminal. */
export function textRenderer({ stdout, stderr, env, colour, level, clock }: TextOptions): Renderer {
  const out = styleOf(stdout, env, colour);
  const err = styleOf(stderr, env, colour);
  const live = stderr.isTTY === true && env.TERM !== 'dumb';
  const progress = (live ? liveProgress : plainProgress)(stderr, level, err, clock);
  return {
    event: (event) => progress.event(event),
    notice: (message) => progress.print([message]),
    result: (result) => {
      progress.close();
      stdout.write(`${resultText(result, out).join('\n')}\n`);
    },
    error: (error) => {
      progress.close();
      stderr.write(`${errorText(error, level === 'debug', err).join('\n')}\n`);
    },
    close: () => progress.close(),
  };
}
