import { StillpointError } from '@stillpoint/shared/errors';
import type { CaptureOptions } from '@stillpoint/shared/proto';
import type { Agent } from '../../agent.ts';
import type { MariadbConfig } from '../../config/schema.ts';
import type { ServerImage } from '../part.ts';
import { type StorageCapture, takenWhole } from '../storage.ts';
import { captureLocked } from './locked.ts';

/** Whose image, and how. */
export interface ServerCaptureOptions {
  readonly agent: Agent;
  readonly mariadb: MariadbConfig;
  /** Directory of the part. */
  readonly part: string;
  readonly options: CaptureOptions;
}

/** The image of the node's MariaDB server, by the strategy that the options name. */
export function serverCapture({ agent, mariadb, part, options }: ServerCaptureOptions): StorageCapture<ServerImage> {
  const { compressionLevel, parallel } = options;
  return takenWhole(async ({ lock }, { progress, signal }) => {
    if (lock === undefined) throw new StillpointError('HOLD_LOST', 'The hold has no lock on the server whose image is to be taken');
    return captureLocked({ agent, mariadb, lock, part, compressionLevel, parallel, progress, signal });
  });
}
