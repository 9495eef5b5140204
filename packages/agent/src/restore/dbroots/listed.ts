import type { ListedEntry } from '@stillpoint/shared/manifest';

/** Permission bits. */
export const modeOf = ({ mode }: ListedEntry): number => Number.parseInt(mode, 8);

/** Seconds, as the system takes them; exact to less than a microsecond. */
export const secondsOf = ({ mtimeNs }: ListedEntry): number => Number(BigInt(mtimeNs)) / 1e9;
