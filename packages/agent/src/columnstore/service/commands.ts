import type { EngineServiceConfig } from '../../config/schema.ts';
import { runProgram } from '../../process/index.ts';
import type { EngineService, ServiceSurroundings } from './driver.ts';
import { serviceFailure } from './failure.ts';
import { runningProcesses } from './processes.ts';
import { stagedProcesses } from './stages.ts';

type Commands = Extract<EngineServiceConfig, { driver: 'commands' }>;

/** Commands of the administrator, called with the name of one process after the other. */
export function commandService({ engine }: Pick<ServiceSurroundings, 'engine'>, commands: Commands): EngineService {
  const named = (stage: number): string[] =>
    stagedProcesses(engine, commands).flatMap((process) => (process.stage === stage ? [process.name] : []));
  const run = async (what: 'start' | 'stop', name: string, signal: AbortSignal): Promise<void> => {
    const [program = '', ...args] = commands[what];
    try {
      // What a start leaves running would keep our end of its output open for ever.
      await runProgram(program, [...args, name], { signal, output: what === 'start' ? 'discard' : 'keep' });
    } catch (error) {
      throw serviceFailure(`${name} did not ${what} by ${program}`, error);
    }
  };
  return {
    start: async (stage, signal) => {
      for (const name of named(stage)) if ((await runningProcesses([name])).length === 0) await run('start', name, signal);
    },
    stop: async (stage, signal) => {
      for (const name of named(stage).toReversed()) if ((await runningProcesses([name])).length > 0) await run('stop', name, signal);
    },
  };
}
