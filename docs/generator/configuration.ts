import { agentConfigSchema } from '@stillpoint/agent';
import { clusterConfigSchema } from '@stillpoint/controller';
import { code, GENERATED, markdownTable, page } from './markdown.ts';
import { type Schema, settingsOf } from './schema.ts';

/** configuration.md: every key of both files, from the schemas that read them. */
export function configurationPage(): string {
  return page([
    '# Configuration',
    GENERATED,
    'Two YAML files. `cluster.yaml` describes the cluster to whoever drives it; `agent.yaml` describes one node to its agent. An unknown key is an ' +
      'error, as is a wrong type: `stillpoint config check` names file, line and key. Annotated examples are in [packaging/](../../packaging/).',
    'A duration is a number with a unit: `250ms`, `10s`, `1.5m`, `2h`, `7d`. A name has letters, digits, dot, dash and underscore, at most 64. ' +
      'A rate is bytes in a second: `50MiB`, `1.5GiB`. A recipient is a public key of age (`age1...`). ' +
      'Secrets are never written into these files: they name files that hold them.',
    '## cluster.yaml',
    'Default place `/etc/stillpoint/cluster.yaml`; `--config` or `STILLPOINT_CONFIG` names another.',
    settingsTable(clusterConfigSchema),
    '## agent.yaml',
    'Default place `/etc/stillpoint/agent.yaml`; `--config` or `STILLPOINT_AGENT_CONFIG` names another.',
    settingsTable(agentConfigSchema),
  ]);
}

const settingsTable = (schema: Schema): string =>
  markdownTable(
    ['key', 'type', 'default', 'meaning'],
    settingsOf(schema).map((setting) => [
      code(setting.key),
      setting.type,
      setting.required && setting.type !== 'section' ? '**required**' : code(setting.default),
      setting.description,
    ]),
  );
