import type { CaptureOptions, Priority } from '@stillpoint/shared/proto';

/** How the files of a part are stored. */
export interface Storing {
  /** zstd level; 0 stores without compressing. */
  readonly level: number;
  /** Public keys that they are encrypted for; none leaves them as they are. */
  readonly recipients: readonly string[];
  /** How far work on them steps back while no writer waits. */
  readonly priority: Priority | undefined;
}

/** zstd level unless another one is asked for. */
const DEFAULT_LEVEL = 3;

/** What was asked for. */
export const storingOf = ({ compressionLevel, priority, recipients, uncompressed }: CaptureOptions): Storing => ({
  level: uncompressed ? 0 : compressionLevel || DEFAULT_LEVEL,
  recipients,
  priority,
});
