import { once } from 'node:events';
import { type Command, Option } from 'commander';
import type { Logger } from 'pino';
import type { Perform, Session } from '../session.ts';
import { noun, verb } from './verb.ts';

/** `stillpoint agent`. */
export const agentCommand = (perform: Perform): Command =>
  noun('agent', 'The agent of this node', [runCommand(perform), grantsCommand(perform)]);

function runCommand(perform: Perform): Command {
  return verb('run', 'Run the agent of this node in the foreground', {
    examples: [
      { line: 'stillpoint agent run', about: 'with /etc/stillpoint/agent.yaml, or what STILLPOINT_AGENT_CONFIG names' },
      { line: 'stillpoint agent run --config ./agent.yaml --log-level debug', about: 'to watch it at work' },
    ],
    exits: ['CONFIG', 'SECURITY', 'BUSY'],
  }).action(
    perform(async (session: Session) => {
      const { loadAgentConfig, startAgent } = await import('@stillpoint/agent');
      const config = loadAgentConfig(session.agentConfigFile);
      const agent = await startAgent({ config, clock: session.clock, log: await openLog(session) });
      const about = { type: 'agent' as const, cluster: config.cluster, node: config.node, address: agent.address };
      session.show({ ...about, state: 'ready' });
      if (!session.run.signal.aborted) await once(session.run.signal, 'abort');
      await agent.stop();
      return { ...about, state: 'stopped' as const };
    }),
  );
}

/** The log goes to stderr, where a service manager picks it up: JSON records, or lines for whoever sits at the terminal. */
async function openLog({ level, stderr, env }: Session): Promise<Logger> {
  const [{ pino }, { prettySink }, { styleOf }] = await Promise.all([import('pino'), import('../agent-log.ts'), import('../ui/style.ts')]);
  if (stderr.isTTY === true) return pino({ level, base: null }, prettySink(stderr, styleOf(stderr, env, true)));
  return pino({ level, base: null }, stderr);
}

interface GrantsOptions {
  readonly user: string;
  readonly host: string;
  readonly for: 'backup' | 'restore' | 'all';
  readonly unixSocket?: true;
}

function grantsCommand(perform: Perform): Command {
  return verb('grants', 'Print the SQL that makes the least-privileged account of the agents', {
    examples: [
      { line: 'stillpoint agent grants', about: 'run it on the primary with a password of your own; replication carries it on' },
      { line: 'stillpoint agent grants --for backup', about: 'without the rights that only a restore needs' },
    ],
    exits: [],
  })
    .option('--user <name>', 'account', 'stillpoint')
    .option('--host <host>', 'host part of the account', 'localhost')
    .addOption(new Option('--for <purpose>', 'what the account must be able to do').choices(['backup', 'restore', 'all']).default('all'))
    .option('--unix-socket', 'the account is that of the operating system user of the same name, and has no password')
    .action(
      perform(async (_session: Session, { user, host, for: purpose, unixSocket }: GrantsOptions) => {
        const { grantsSql } = await import('@stillpoint/agent');
        const purposes = purpose === 'all' ? (['backup', 'restore'] as const) : [purpose];
        const sql = grantsSql({ user, host, purposes, authentication: unixSocket ? 'unix_socket' : 'password' });
        return { type: 'grants' as const, sql };
      }),
    );
}
