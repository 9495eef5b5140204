import { type CaptureOptions, ServerStrategy } from '@stillpoint/shared/proto';
import type { Agent } from '../../agent.ts';
import type { MariadbConfig } from '../../config/schema.ts';
import type { Parent } from '../parent.ts';
import type { ServerImage } from '../part.ts';
import type { StorageCapture } from '../storage.ts';
import { captureAtGate } from './gate.ts';
import { captureIncrement } from './increment.ts';
import { captureLocked } from './locked.ts';

/** Whose image, and how. */
export interface ServerCaptureOptions {
  readonly agent: Agent;
  readonly mariadb: MariadbConfig;
  /** Directory of the part. */
  readonly part: string;
  /** What the image is to be an increment of; undefined for a full one. */
  readonly parent: Parent | undefined;
  readonly options: CaptureOptions;
}

/** The image of the node's MariaDB server, by the strategy that the options name. */
export function serverCapture(capture: ServerCaptureOptions): StorageCapture<ServerImage> {
  if (capture.options.server === ServerStrategy.GATE) return captureAtGate(capture);
  if (capture.options.server === ServerStrategy.INCREMENT) return captureIncrement(capture);
  return captureLocked(capture);
}
