import type { Command } from 'commander';
import type { Perform, Session } from '../session.ts';
import { noun, verb } from './verb.ts';

/** `stillpoint config`. */
export function configCommand(perform: Perform): Command {
  const check = verb('check', 'Check a configuration file and the files that it names', {
    examples: [
      { line: 'stillpoint config check', about: '/etc/stillpoint/cluster.yaml, or what --config names' },
      { line: 'stillpoint config check --agent /etc/stillpoint/agent.yaml', about: 'on a node' },
    ],
    exits: ['CONFIG'],
  })
    .option('--agent <file>', 'check this agent.yaml instead')
    .action(
      perform(async ({ configFile, clock }: Session, { agent }: { agent?: string }) => {
        const { inspectAgentConfig, inspectConfig } = await import('../inspect/index.ts');
        return { type: 'findings', findings: agent === undefined ? inspectConfig(configFile, clock) : inspectAgentConfig(agent, clock) };
      }),
    );
  return noun('config', 'Configuration files', [check]);
}
