import { join } from 'node:path';
import type { ScannedEntry } from '../entry.ts';
import { moved } from '../failure.ts';
import { entryOfLine } from '../line.ts';
import type { Found } from './orders.ts';
import type { ScanThreads } from './scan-threads.ts';

/** Looks at everything once more. Throws CAPTURE_MOVED unless it is as it was found before, or what `ScanThreads.scan` throws. */
export async function requireUnmovedSince(before: Found, scans: ScanThreads, path: string, signal: AbortSignal): Promise<void> {
  const now = await scans.scan({ tell: 'nothing', isAlive: false, signal });
  if (now.digest === before.digest) return;
  const latest = await latestChange(scans, signal);
  throw moved(latest === undefined ? path : join(path, latest.path), 'changed');
}

/** What was changed last: whoever looks for what has moved begins there. */
async function latestChange(scans: ScanThreads, signal: AbortSignal): Promise<ScannedEntry | undefined> {
  let latest: ScannedEntry | undefined;
  await scans.scan({
    ...{ tell: 'all', isAlive: true, signal },
    onAnswer: async ({ lines }) => {
      for (const line of linesIn(lines)) {
        const entry = entryOfLine(line);
        if (latest === undefined || BigInt(entry.ctimeNs) > BigInt(latest.ctimeNs)) latest = entry;
      }
    },
  });
  return latest;
}

/** Lines of an answer, without their ends. Pure. */
export const linesIn = (lines: Uint8Array): string[] => (lines.length === 0 ? [] : Buffer.from(lines).toString().trimEnd().split('\n'));
