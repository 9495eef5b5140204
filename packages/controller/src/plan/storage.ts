import type { BackupSettings } from '../config/schema.ts';

/** How the files of all parts are stored, and how much of a node the work on them may take while no writer waits. */
export interface PlannedStorage {
  /** zstd level, or none. */
  readonly compression: BackupSettings['compressionLevel'];
  /** Public keys that the files are encrypted for; none leaves them as they are. */
  readonly recipients: readonly string[];
  /** Bytes in a second on each node, outside of the still point; undefined for no limit. */
  readonly throttle: number | undefined;
  /** Niceness outside of the still point. */
  readonly nice: number;
  /** Class of input and output outside of the still point; undefined for that of the agent. */
  readonly ionice: string | undefined;
}

/** What the settings say of it. Pure. */
export const storageOf = ({ compressionLevel, encryption, ionice, nice, throttle }: BackupSettings): PlannedStorage => ({
  compression: compressionLevel,
  recipients: encryption?.recipients ?? [],
  throttle,
  nice,
  ionice,
});
