import { loadConfig } from '@stillpoint/shared/config';
import { type AgentConfig, agentConfigSchema } from './schema.ts';

/** Reads agent.yaml. Throws CONFIG_NOT_FOUND or CONFIG_INVALID, naming file, line and key. */
export const loadAgentConfig = (path: string): AgentConfig => loadConfig(path, agentConfigSchema);
