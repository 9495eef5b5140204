/** The agent, as the command line starts it. Its insides are its own. */
export { loadAgentConfig } from './config/load.ts';
export { type AgentConfig, agentConfigSchema } from './config/schema.ts';
export { grantsSql } from './mariadb/privileges.ts';
export { type AgentOptions, type RunningAgent, startAgent } from './run.ts';
