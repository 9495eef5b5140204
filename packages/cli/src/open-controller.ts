import type { ControllerLog } from '@stillpoint/controller';
import { systemClock } from '@stillpoint/shared/time';
import type { OpenedController } from './session.ts';

/** Opens the real controller; loaded only when a command needs it, so that help and completion stay quick. */
export async function openController(configFile: string, log: ControllerLog, takeOver: boolean): Promise<OpenedController> {
  const { loadClusterConfig, openController: open } = await import('@stillpoint/controller');
  const config = loadClusterConfig(configFile);
  return { config, controller: open({ config, clock: systemClock, log, takeOver }) };
}
