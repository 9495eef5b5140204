import { accessSync, constants } from 'node:fs';
import type { ColumnstoreConfig } from '../../config/schema.ts';
import type { Engine } from '../types.ts';
import { cmapiDriver } from './cmapi/driver.ts';
import { dbrmctlDriver } from './dbrmctl-driver.ts';
import { mcsadminDriver } from './mcsadmin/driver.ts';
import type { DriverName, SuspendDriver } from './types.ts';

const DRIVERS: Readonly<Record<DriverName, (engine: Engine, config: ColumnstoreConfig) => SuspendDriver>> = {
  dbrmctl: dbrmctlDriver,
  cmapi: cmapiDriver,
  mcsadmin: mcsadminDriver,
};

/** What sets the engine read-only here, as configured. Asks nothing of the engine yet. */
export const openDriver = (engine: Engine, config: ColumnstoreConfig): SuspendDriver =>
  DRIVERS[chooseDriver(engine, config)](engine, config);

/** `auto` takes what the release was made for: behind the back of a control program, `dbrmctl` would be undone by it. */
export function chooseDriver({ generation, topology }: Engine, { suspend, cmapi }: ColumnstoreConfig): DriverName {
  if (suspend !== 'auto') return suspend;
  if (generation === 'oam' || generation === '1.4') return 'mcsadmin';
  return topology.managedByCmapi && isReadable(cmapi.configFile) ? 'cmapi' : 'dbrmctl';
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
