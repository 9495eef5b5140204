/** Programs: the only place of the agent that starts any. Argument vectors, no shell, bounded output, typed failures. */
export { ProgramFailure } from './failure.ts';
export { findProgram } from './find.ts';
export { type RunningPipeline, type Stage, startPipeline } from './pipeline.ts';
export { type RunningProgram, runProgram, startProgram } from './program.ts';
export { TYING_PROGRAM, tiedToAgent } from './tied.ts';
