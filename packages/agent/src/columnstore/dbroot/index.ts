/** Dbroots: what belongs to the image of one, and how it is captured. */
export { captureDbroot, type DbrootCapture, shardsOfEach } from './capture.ts';
export type { CapturedDbroot } from './described.ts';
export { beginIncrement } from './increment/begin.ts';
export type { Increment } from './increment/increment.ts';
export { lookAhead } from './increment/look-ahead.ts';
export type { ParentDbroot } from './increment/parent-dbroot.ts';
export { DbrootPrecopy } from './precopy/dbroot-precopy.ts';
export { DbrootReflink } from './reflink/dbroot-reflink.ts';
export { findClonePlace, removeLeftClones } from './reflink/place.ts';
export { requireDirectory } from './root.ts';
export { type ScanThreads, scansOf } from './scanning/scan-threads.ts';
export type { DbrootToCapture, DbrootWork, StagedDbroot } from './staged.ts';
