import type { AgentConfig } from '../config/schema.ts';
import type { ServerCommands } from './instructions.ts';
import { localRepository } from './local.ts';
import type { Repository } from './types.ts';

type RepositoryConfig = Pick<AgentConfig, 'repository' | 'cluster' | 'node'> & Partial<Pick<AgentConfig, 'mariadb'>>;

/** The repository that an agent's configuration names. */
export const openRepository = ({ repository, cluster, node, mariadb }: RepositoryConfig): Repository =>
  localRepository({ path: repository, cluster, node, server: mariadb === undefined ? undefined : commandsOf(mariadb) });

function commandsOf({ defaultsFile, service }: NonNullable<AgentConfig['mariadb']>): ServerCommands {
  if (service.driver === 'commands') return { defaultsFile, start: service.start, stop: service.stop };
  return { defaultsFile, start: ['systemctl', 'start', service.unit], stop: ['systemctl', 'stop', service.unit] };
}
