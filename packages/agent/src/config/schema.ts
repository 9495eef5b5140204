import { addressSetting, durationSetting, nameSetting, pathSetting, tlsSetting } from '@stillpoint/shared/config';
import { z } from 'zod';

const argv = z.array(z.string().min(1)).min(1).describe('program and arguments, no shell');

/** How the server is started and stopped: only for a restore. */
const serviceSchema = z.discriminatedUnion('driver', [
  z.strictObject({
    driver: z.literal('systemd').describe('systemctl starts and stops the server'),
    unit: z.string().default('mariadb').describe('systemd unit of the server'),
  }),
  z.strictObject({
    driver: z.literal('commands').describe('commands of your own start and stop the server'),
    start: argv.describe('returns once the server is started (it need not answer yet)'),
    stop: argv.describe('returns once the server has stopped'),
  }),
]);

const mariadbSchema = z.strictObject({
  defaultsFile: pathSetting.default('/etc/mysql/my.cnf').describe('option file of the server'),
  socket: pathSetting.default('/run/mysqld/mysqld.sock').describe('Unix socket of the server'),
  user: z.string().default('stillpoint').describe('account of the agent; `stillpoint agent grants` prints its SQL'),
  passwordFile: pathSetting.optional().describe('file whose first line is its password; none for unix_socket accounts'),
  service: serviceSchema.default({ driver: 'systemd', unit: 'mariadb' }).describe('how the server is started and stopped, for a restore'),
  advertise: z
    .strictObject({
      host: z.string().min(1).describe('host name or address'),
      port: z.number().int().min(1).max(65535).optional().describe('TCP port; that of the server when left out'),
    })
    .optional()
    .describe('where replicas reach this server, if not where they did when the set was made'),
  replication: z
    .strictObject({
      user: z.string().min(1).describe('account on the source'),
      passwordFile: pathSetting.describe('file whose first line is its password'),
    })
    .optional()
    .describe('account with which this server replicates from another after a restore'),
});

/** How the processes of the engine are started and stopped: only for a restore. */
const engineServiceSchema = z.discriminatedUnion('driver', [
  z.strictObject({
    driver: z.literal('systemd').describe('systemctl: the unit mariadb-columnstore on a single node, cmapi and its units on a cluster'),
  }),
  z.strictObject({
    driver: z.literal('commands').describe('commands of your own; the name of a process, PrimProc say, is appended as last argument'),
    start: argv.describe('returns once that process takes connections'),
    stop: argv.describe('returns once that process has ended'),
  }),
  z.strictObject({ driver: z.literal('mcsadmin').describe('releases before 5: the whole system, through mcsadmin on its parent module') }),
]);

const cmapiSchema = z.strictObject({
  url: z
    .url({ protocol: /^https$/ })
    .default('https://127.0.0.1:8640')
    .describe('where cmapi answers; on this node unless said otherwise'),
  configFile: pathSetting.default('/etc/columnstore/cmapi_server.conf').describe('file of cmapi that holds its API key'),
  ca: pathSetting.optional().describe('certificate to verify cmapi by; without it only a cmapi on this host is spoken to'),
});

const columnstoreSchema = z.strictObject({
  config: pathSetting
    .default('/etc/columnstore/Columnstore.xml')
    .describe('configuration of the engine; no ColumnStore where it is missing'),
  dataDirectory: pathSetting.default('/var/lib/columnstore').describe('where the engine keeps local/module and .secrets'),
  suspend: z
    .enum(['auto', 'dbrmctl', 'cmapi', 'mcsadmin'])
    .default('auto')
    .describe('what sets the engine read-only: auto takes mcsadmin before 5, cmapi on clusters that it manages, else dbrmctl'),
  cmapi: cmapiSchema.prefault({}).describe('the management API of clusters since 5'),
  service: engineServiceSchema.default({ driver: 'systemd' }).describe('how the engine is started and stopped, for a restore'),
});

/** `agent.yaml`: one node, as its agent sees it. */
export const agentConfigSchema = z.strictObject({
  cluster: nameSetting.describe('name of the cluster'),
  node: nameSetting.describe('name of this node, as in the cluster configuration'),
  listen: addressSetting.default('0.0.0.0:7443').describe('address to serve the controller on'),
  stateDir: pathSetting.default('/var/lib/stillpoint/agent').describe('journal of the agent'),
  repository: pathSetting.describe('directory that holds the parts of this node'),
  tls: tlsSetting,
  mariadb: mariadbSchema.optional().describe('the MariaDB server of this node'),
  configuration: z.array(pathSetting).default([]).describe('configuration files and directories to back up'),
  columnstore: columnstoreSchema.prefault({}).describe('the ColumnStore engine of this node, if it has one'),
  decryption: z
    .strictObject({
      identityFile: pathSetting.describe(
        'file with the identities that open encrypted sets, as `age-keygen -o` writes it; for its owner alone',
      ),
    })
    .optional()
    .describe('only where encrypted sets are restored or verified: to make them, no secret is needed'),
  stopGrace: durationSetting.default(10_000).describe('how long to wait for work to end when the agent is stopped'),
});

export type AgentConfig = z.infer<typeof agentConfigSchema>;
export type MariadbConfig = NonNullable<AgentConfig['mariadb']>;
export type ServiceConfig = MariadbConfig['service'];
export type ColumnstoreConfig = AgentConfig['columnstore'];
export type EngineServiceConfig = ColumnstoreConfig['service'];
