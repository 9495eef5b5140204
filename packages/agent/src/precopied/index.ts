/** What an interrupted backup had copied of dbroots before its still point, kept for the next one. */
export { dropPrecopied, keepPrecopied, takePrecopied } from './keep.ts';
export { misfitOf } from './misfit.ts';
export { linesName, precopiedDirectory } from './place.ts';
export { type Origin, type PrecopiedRecord, recordsIn, removePrecopied, removeRecords, writeRecord } from './record.ts';
export { notUsed, usedAgain } from './told.ts';
