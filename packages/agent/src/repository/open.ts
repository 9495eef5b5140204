import type { AgentConfig } from '../config/schema.ts';
import { localRepository } from './local.ts';
import type { Repository } from './types.ts';

/** The repository that an agent's configuration names. */
export const openRepository = ({ repository, cluster, node }: Pick<AgentConfig, 'repository' | 'cluster' | 'node'>): Repository =>
  localRepository({ path: repository, cluster, node });
