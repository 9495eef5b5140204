import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from './mariadb-server.ts';

/** Where things of a node lie. */
export interface NodePlace {
  readonly cluster: string;
  readonly name: string;
  readonly directory: string;
  readonly pki: string;
  readonly address: string;
  readonly agentPort: number;
}

/** Accounts of a cluster, made anew for each, so that a search for them finds nothing but a leak. */
export interface Passwords {
  readonly stillpoint: string;
  readonly replication: string;
  readonly app: string;
}

/** Writes agent.yaml and everything that it names. YAML is a superset of JSON. */
export function writeAgentConfig(place: NodePlace, server: TestServer, passwords: Passwords): string {
  const { cluster, name, directory, pki, address, agentPort } = place;
  const at = (file: string): string => join(directory, file);
  const configFile = at('agent.yaml');
  mkdirSync(at('repository'), { recursive: true });
  mkdirSync(at('etc'), { recursive: true });
  writeFileSync(at('etc/tuning.cnf'), `# tuning of ${name}\n[mariadbd]\nmax_connections=77\n`);
  writeFileSync(at('stillpoint.password'), `${passwords.stillpoint}\n`, { mode: 0o600 });
  writeFileSync(at('replication.password'), `${passwords.replication}\n`, { mode: 0o600 });
  writeFileSync(at('start'), startScript(server), { mode: 0o755 });
  writeFileSync(at('stop'), stopScript(server), { mode: 0o755 });
  const config = {
    cluster,
    node: name,
    listen: `${address}:${agentPort}`,
    stateDir: at('agent-state'),
    repository: at('repository'),
    tls: tls(pki, name),
    mariadb: {
      defaultsFile: server.defaultsFile,
      socket: server.socket,
      user: 'stillpoint',
      passwordFile: at('stillpoint.password'),
      service: { driver: 'commands', start: [at('start')], stop: [at('stop')] },
      replication: { user: 'repl', passwordFile: at('replication.password') },
    },
    configuration: [at('etc')],
  };
  writeFileSync(configFile, JSON.stringify(config, null, 2));
  return configFile;
}

export interface ClusterPlace {
  readonly name: string;
  readonly directory: string;
  readonly pki: string;
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  /** Settings of the `backup` section. */
  readonly backup: Readonly<Record<string, unknown>>;
}

/** Writes cluster.yaml. */
export function writeClusterConfig({ name, directory, pki, nodes, backup }: ClusterPlace): string {
  const configFile = join(directory, 'cluster.yaml');
  const config = { cluster: name, stateDir: join(directory, 'controller-state'), tls: tls(pki, 'ops'), nodes, backup };
  writeFileSync(configFile, JSON.stringify(config, null, 2));
  return configFile;
}

const tls = (pki: string, name: string) => ({ ca: join(pki, 'ca.crt'), cert: join(pki, `${name}.crt`), key: join(pki, `${name}.key`) });

/** Leaves the server behind in a session of its own, as a service manager would. */
const startScript = (server: TestServer): string => `#!/bin/sh
setsid mariadbd --defaults-file=${server.defaultsFile} </dev/null >>${join(server.directory, 'out.log')} 2>&1 &
`;

const stopScript = (server: TestServer): string => `#!/bin/sh
pid=$(cat ${join(server.directory, 's.pid')} 2>/dev/null) || exit 0
kill "$pid" 2>/dev/null || exit 0
# A zombie answers to kill -0, but has no arguments any more.
while grep -q . "/proc/$pid/cmdline" 2>/dev/null; do sleep 0.05; done
`;
