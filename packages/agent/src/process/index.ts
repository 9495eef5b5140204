/** Programs: the only place of the agent that starts any. Argument vectors, no shell, bounded output, typed failures. */
export { ProgramFailure } from './failure.ts';
export { type RunningPipeline, type Stage, startPipeline } from './pipeline.ts';
export {
  type ProgramOptions,
  type ProgramResult,
  type RunningProgram,
  type RunOptions,
  runProgram,
  type StartOptions,
  startProgram,
} from './program.ts';
