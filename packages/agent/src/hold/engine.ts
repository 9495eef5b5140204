import type { Clock } from '@stillpoint/shared/time';
import { openEngine } from '../columnstore/discovery/index.ts';
import {
  type EngineControl,
  forgetSuspension,
  openControl,
  readSuspension,
  recordSuspension,
  type Stand,
} from '../columnstore/suspend/index.ts';
import type { AgentConfig } from '../config/schema.ts';
import { type Guardian, startGuardian, type Undoer } from '../guardian/index.ts';

/** What a hold needs of the ColumnStore engine of its node; opened anew for each hold. */
export interface HoldEngine {
  readonly control: EngineControl;
  /** What is on disk about the suspension: whoever comes after a crash must know of it. */
  readonly record: SuspensionNote;
  /** Undoes what is on record when the hold could not. */
  readonly undoer: Pick<Undoer, 'begin' | 'stop'>;
  /** See startGuardian. Undefined where there is neither a lock to double nor an engine to resume. */
  readonly startGuardian: ((on: GuardianTerms) => Promise<Guardian>) | undefined;
}

/** What a guardian is started with. */
export interface GuardianTerms {
  readonly leaseMs: number;
  /** Descriptor of the connection that will hold the lock of the hold; undefined on a node without a server. */
  readonly shared: number | undefined;
  readonly signal: AbortSignal;
}

/** The record of one operation. */
export interface SuspensionNote {
  /** On disk when this returns. Throws the system's error. */
  write(stand: Stand): Promise<void>;
  /** Adds that the engine was seen read-only: the request will not be carried out a second time. Not waited for: in doubt it may. */
  confirm(stand: Stand): void;
  /** False when the suspension was undone by somebody else: the guardian, while this process was frozen. True in doubt. */
  isThere(): Promise<boolean>;
  /** Never throws: what stays is found out to be over at the next start. */
  remove(): Promise<void>;
}

/** Opens the engine of the node for an operation; undefined when there is none. Throws COLUMNSTORE_CONFIG. */
export type OpenHoldEngine = (operationId: string) => Promise<HoldEngine | undefined>;

export interface ColumnstoreEngineOptions {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly undoer: Undoer;
}

/** The engine that the configuration of the agent leads to. */
export const columnstoreEngine =
  ({ config, clock, undoer }: ColumnstoreEngineOptions): OpenHoldEngine =>
  async (operationId) => {
    const engine = await openEngine(config);
    if (engine === undefined) return undefined;
    const { columnstore, mariadb, stateDir } = config;
    const control = openControl({ engine, config: columnstore, clock });
    const server = mariadb && { socket: mariadb.socket, user: mariadb.user, passwordFile: mariadb.passwordFile };
    const guard = ({ leaseMs, shared, signal }: GuardianTerms): Promise<Guardian> =>
      startGuardian({ operationId, stateDir, mariadb: server, columnstore, leaseMs }, { shared, clock, signal });
    return {
      control,
      undoer,
      record: noteOf(stateDir, operationId, control, clock),
      startGuardian: server !== undefined || control.isPrimary ? guard : undefined,
    };
  };

function noteOf(stateDir: string, operationId: string, { driver }: EngineControl, clock: Clock): SuspensionNote {
  let at = clock.now();
  let confirmed = Promise.resolve();
  const write = (stand: Stand, isConfirmed: boolean): Promise<void> =>
    recordSuspension(stateDir, { operationId, driver, stand, at, isConfirmed });
  return {
    write: (stand) => {
      at = clock.now();
      return write(stand, false);
    },
    confirm: (stand) => {
      confirmed = write(stand, true).catch(() => undefined);
    },
    isThere: () =>
      readSuspension(stateDir).then(
        (record) => record?.operationId === operationId,
        () => true,
      ),
    // Not before the last word is written, or that one would stay.
    remove: () => confirmed.then(() => forgetSuspension(stateDir)).catch(() => undefined),
  };
}
