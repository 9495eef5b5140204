import type { Clock } from '@stillpoint/shared/time';
import type { Logger } from 'pino';
import type { Captures } from './capture/index.ts';
import type { AgentConfig } from './config/schema.ts';
import type { HoldRegistry } from './hold/registry.ts';

/** What every part of a running agent works with. */
export interface Agent {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly log: Logger;
  /** Holds of operations, those already released included, until the operation gives the node back. */
  readonly holds: HoldRegistry;
  /** Images that operations have in the making. */
  readonly captures: Captures;
}
