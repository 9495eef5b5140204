import { refuseRunningEngine } from '../columnstore/service/processes.ts';
import { settleEngine } from '../columnstore/service/settle.ts';
import { configuredSettings } from '../mariadb/settings.ts';
import { syncFileSystem } from './sync.ts';

/** Called at every point at which a crash would leave something to clear up. */
export type Checkpoint = (name: string) => void | Promise<void>;

/** Where tests reach into a switch and its way back. */
export interface Seams {
  /** Tests crash here. */
  readonly checkpoint: Checkpoint;
  /** Tests remember what it told: a run of mariadbd for each of some hundred crashes takes minutes. */
  readonly readSettings: typeof configuredSettings;
  /** Tests of crashes that no power cut comes with leave the disk in peace. */
  readonly syncFileSystem: typeof syncFileSystem;
  /** Tests have no engine, and look at no processes of the host. */
  readonly engine: { readonly refuseRunning: typeof refuseRunningEngine; readonly settle: typeof settleEngine };
}

/** As it is outside of tests. */
export const noSeams: Seams = {
  checkpoint: () => {},
  readSettings: configuredSettings,
  syncFileSystem,
  engine: { refuseRunning: refuseRunningEngine, settle: settleEngine },
};
