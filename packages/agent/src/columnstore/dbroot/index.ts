/** Dbroots: what belongs to the image of one, and how it is captured. */
export { type CapturedDbroot, captureDbroot, type DbrootCapture, shardsOfEach } from './capture.ts';
