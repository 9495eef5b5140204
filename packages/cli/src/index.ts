/** The command line as data: the reference pages are made from it. */
export { type Notes, notesOf } from './commands/verb.ts';
export { pathOf } from './help.ts';
export { createProgram, everyCommand } from './program.ts';
