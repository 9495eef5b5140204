import type { StageTask } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import type { TaskContext } from '../task/types.ts';
import { copyConfiguration, howToPutBack } from './configuration.ts';
import type { EngineTarget } from './dbroots/target.ts';
import { engineFiles, secretsFile } from './engine-files.ts';
import type { PartSource } from './source.ts';
import { copiesDirectory, type PendingFile } from './state.ts';

/**
 * Copies the configuration files of this node's own part that the switch puts back: all that the agent's configuration lists, if asked for;
 * on a node of the engine its tuning in any case. Throws as `copyConfiguration` does.
 */
export async function pendingFiles(
  config: AgentConfig,
  { restoreConfiguration }: StageTask,
  own: PartSource | undefined,
  engine: EngineTarget | undefined,
  task: TaskContext,
): Promise<PendingFile[]> {
  if (own === undefined || (!restoreConfiguration && engine === undefined)) return [];
  const { columnstore } = config;
  const places = engine ?? {
    configFile: columnstore.config,
    dataDirectory: columnstore.dataDirectory,
    cmapiFile: columnstore.cmapi.configFile,
  };
  const ofEngine = engineFiles(places);
  const tuningAlone = new Map([...ofEngine].filter(([, how]) => how === 'tuning'));
  const how = restoreConfiguration ? howToPutBack(config.configuration, ofEngine) : howToPutBack([], tuningAlone);
  const { files, skipped } = await copyConfiguration(own, copiesDirectory(config.stateDir, task.operationId), how, task.signal);
  if (restoreConfiguration) for (const path of skipped) task.log(`${path} is not put back: this agent's configuration does not list it`);
  const secrets = secretsFile(places.dataDirectory);
  const sha256 = own.part.configuration.find(({ path }) => path === secrets)?.sha256 ?? '';
  return files.map((file) => (file.how === 'tuning' ? { ...file, secrets: { path: secrets, sha256 } } : file));
}
