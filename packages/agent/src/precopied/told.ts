import type { PrecopiedRecord } from './record.ts';

const MEBIBYTE = 1024 * 1024;

/** What the operation's log says of shards that are used again. Pure. */
export function usedAgain({ number, operationId, shards }: PrecopiedRecord): string {
  const mebibytes = (shards.reduce((sum, { bytes }) => sum + bytes, 0) / MEBIBYTE).toFixed(1);
  return `dbroot ${number}: ${mebibytes} MiB in ${shards.length} shards, copied by ${operationId} before it was interrupted, are used again`;
}

/** What it says of what is not used, and why: a clause. Pure. */
export const notUsed = ({ number, operationId }: PrecopiedRecord, why: string): string =>
  `dbroot ${number}: what ${operationId} had copied before it was interrupted is not used, and was removed: ${why}`;
