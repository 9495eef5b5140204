import { readFileSync } from 'node:fs';
import { type AgentConfig, loadAgentConfig } from '@stillpoint/agent';
import { loadClusterConfig } from '@stillpoint/controller';
import type { Clock } from '@stillpoint/shared/time';
import type { Finding } from '../ui/result.ts';
import { count } from '../ui/units.ts';
import { inspectCertificates } from './certificates.ts';
import { inspectDirectory, inspectFile, inspectSecretFile } from './files.ts';
import { type Findings, findingsOf } from './findings.ts';

/** Looks at a configuration file of either kind: one that names a single `node` is an agent's. */
export function inspectConfig(file: string, clock: Clock): readonly Finding[] {
  return isAgentConfig(file) ? inspectAgentConfig(file, clock) : inspectClusterConfig(file, clock);
}

function isAgentConfig(file: string): boolean {
  try {
    return /^\s*["']?node["']?\s*:/m.test(readFileSync(file, 'utf8'));
  } catch {
    // Whoever loads it next says what is wrong with it.
    return false;
  }
}

/** Looks at a cluster.yaml and at what it names on this host; talks to nobody. */
function inspectClusterConfig(file: string, clock: Clock): readonly Finding[] {
  const found = findingsOf(file);
  const config = found.look('', () => loadClusterConfig(file));
  if (config === undefined) return found.all;
  found.ok('', `cluster ${config.cluster}, ${count(config.nodes.length, 'node')}`);
  inspectDirectory(found, 'stateDir', config.stateDir);
  inspectCertificates(found, config.tls, { cluster: config.cluster, role: 'controller' }, clock);
  return found.all;
}

/** Looks at an agent.yaml and at what it names on this host; talks to nobody. */
export function inspectAgentConfig(file: string, clock: Clock): readonly Finding[] {
  const found = findingsOf(file);
  const config = found.look('', () => loadAgentConfig(file));
  if (config === undefined) return found.all;
  found.ok('', `node ${config.node} of cluster ${config.cluster}, serves ${config.listen}`);
  inspectDirectory(found, 'stateDir', config.stateDir);
  inspectDirectory(found, 'repository', config.repository);
  inspectCertificates(found, config.tls, { cluster: config.cluster, role: 'agent', name: config.node }, clock);
  if (config.mariadb !== undefined) inspectServer(found, config.mariadb);
  for (const path of config.configuration) inspectFile(found, 'configuration', path);
  return found.all;
}

function inspectServer(found: Findings, { defaultsFile, passwordFile, replication }: NonNullable<AgentConfig['mariadb']>): void {
  inspectFile(found, 'mariadb.defaultsFile', defaultsFile);
  if (passwordFile !== undefined) inspectSecretFile(found, 'mariadb.passwordFile', passwordFile);
  if (replication !== undefined) inspectSecretFile(found, 'mariadb.replication.passwordFile', replication.passwordFile);
}
