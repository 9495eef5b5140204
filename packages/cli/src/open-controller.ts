import type { OpenedController } from './session.ts';

/** Opens the real controller; loaded only when a command needs it, so that help and completion stay quick. */
export async function openController(configFile: string): Promise<OpenedController> {
  const { loadClusterConfig, openController: open } = await import('@stillpoint/controller');
  const config = loadClusterConfig(configFile);
  return { config, controller: await open(config) };
}
