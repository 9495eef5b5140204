import { join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import { restlessFiles } from '../rules.ts';
import { keepScan } from '../scan-file.ts';
import type { Scans } from '../scanning/scans.ts';
import type { DbrootToCapture, DbrootWork } from '../staged.ts';
import type { Increment } from './increment.ts';

/**
 * Compares a dbroot with its parent while clients write, so that the still point need not read again what stamps do not tell, as after a restore. What
 * comes, goes or changes meanwhile is left to the still point. Gives the bytes that were read. Throws CAPTURE_FAILED, DISK_FULL, the system's error or
 * the signal's reason.
 */
export async function lookAhead(
  { brmDirectory, number, part, root }: DbrootToCapture,
  scans: Scans,
  increment: Increment,
  { onBytes, signal }: DbrootWork,
): Promise<number> {
  let bytes = 0;
  const counted = (some: number): void => {
    bytes += some;
    onBytes(some);
  };
  const lookedAtMs = Date.now();
  const scan = await keepScan(join(part, `.dbroot${number}.ahead`), scans, { isAlive: true, note: () => {}, signal });
  try {
    await increment.compare({ root, entries: scan.all(), lookedAtMs, restless: restlessFiles(brmDirectory), onBytes: counted, signal });
  } catch (error) {
    if (!(error instanceof StillpointError && error.code === 'CAPTURE_MOVED')) throw error;
  } finally {
    await scan.remove();
  }
  return bytes;
}
