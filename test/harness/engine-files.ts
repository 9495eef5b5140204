import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type AgentConfig, agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { testDirectory } from './mariadb-server.ts';

/** A module as a test writes it into Columnstore.xml. */
export interface ModuleLine {
  readonly id: number;
  /** Default: an address that is nobody's. */
  readonly address?: string;
  readonly hostName?: string;
  readonly dbroots: readonly number[];
}

export interface EngineFileOptions {
  readonly modules: readonly ModuleLine[];
  /** Host of controllernode. Default: the address of the module with dbroot 1. */
  readonly controller?: string;
  /** Content of local/module; undefined for no such file. Default pm1. */
  readonly module?: string | undefined;
  /** Default: below dbroot 1. */
  readonly dbrmRoot?: string;
  /** Elements below the root. */
  readonly more?: string;
  /** Elements of SystemModuleConfig. */
  readonly moduleConfig?: string;
  /** `oam`: one installation directory, as releases before 1.4 have it. */
  readonly layout?: 'packages' | 'oam';
}

/** The files of an engine that was installed and stopped: none of its programs is there unless a test puts it there. */
export interface EngineFiles {
  readonly directory: string;
  readonly configFile: string;
  readonly dataDirectory: string;
  readonly config: AgentConfig;
  dbroot(number: number): string;
  /** Writes a file, and directories down to it; a path that is not absolute is below the directory. */
  write(path: string, text: string): void;
  /** Makes a program that does nothing; PATH does not lead to it by itself. */
  program(...names: readonly string[]): string;
  remove(): void;
}

/** Address of documentation (RFC 5737): never that of this host. */
export const addressOf = (id: number): string => `192.0.2.${id}`;

/** Lays out the files: dbroots of the module that local/module names, with data in the first. */
export function engineFiles(options: EngineFileOptions): EngineFiles {
  const directory = testDirectory('engine-files');
  const isOam = options.layout === 'oam';
  const dataDirectory = join(directory, isOam ? 'columnstore' : 'data');
  const configFile = isOam ? join(dataDirectory, 'etc', 'Columnstore.xml') : join(directory, 'columnstore', 'Columnstore.xml');
  const dbroot = (number: number): string => join(dataDirectory, `data${number}`);
  const write = (path: string, text: string): void => {
    const file = path.startsWith('/') ? path : join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  write(configFile, columnstoreXml(options, dbroot));
  const module = 'module' in options ? options.module : 'pm1';
  mkdirSync(dataDirectory, { recursive: true });
  if (module !== undefined) write(join(dataDirectory, 'local', 'module'), module);
  for (const number of options.modules.find(({ id }) => `pm${id}` === module?.trim())?.dbroots ?? []) {
    mkdirSync(number === 1 ? join(dbroot(number), '000.dir') : dbroot(number), { recursive: true });
  }
  return {
    directory,
    configFile,
    dataDirectory,
    config: agentConfigSchema.parse({
      ...{ cluster: 'test', node: 'n1', stateDir: join(directory, 'state'), repository: join(directory, 'repository') },
      tls: { ca: '/nowhere', cert: '/nowhere', key: '/nowhere' },
      columnstore: { config: configFile, dataDirectory, service: { driver: 'commands', start: ['true'], stop: ['true'] } },
    }),
    dbroot,
    write,
    program: (...names) => {
      const bin = join(directory, 'bin');
      mkdirSync(bin, { recursive: true });
      for (const name of names) {
        writeFileSync(join(bin, name), '#!/bin/sh\n');
        chmodSync(join(bin, name), 0o755);
      }
      return bin;
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

function columnstoreXml(options: EngineFileOptions, dbroot: (number: number) => string): string {
  const { modules, more = '', moduleConfig = '' } = options;
  const first = modules.find(({ dbroots }) => dbroots.includes(1));
  const numbers = modules.flatMap(({ dbroots }) => dbroots);
  const controller = options.controller ?? first?.address ?? addressOf(first?.id ?? 0);
  const lines = modules.map(
    ({ id, address = addressOf(id), hostName = 'unassigned', dbroots }) => `
    <ModuleIPAddr${id}-1-3>${address}</ModuleIPAddr${id}-1-3><ModuleHostName${id}-1-3>${hostName}</ModuleHostName${id}-1-3>
    <ModuleDBRootCount${id}-3>${dbroots.length}</ModuleDBRootCount${id}-3>
    ${dbroots.map((number, index) => `<ModuleDBRootID${id}-${index + 1}-3>${number}</ModuleDBRootID${id}-${index + 1}-3>`).join('')}`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<Columnstore Version="V1.0.0">
  <SystemConfig>
    <DBRootCount>${numbers.length}</DBRootCount>
    ${numbers.map((number) => `<DBRoot${number}>${dbroot(number)}</DBRoot${number}>`).join('')}
    <DBRMRoot>${options.dbrmRoot ?? join(dbroot(1), 'systemFiles/dbrm/BRM_saves')}</DBRMRoot>
  </SystemConfig>
  <SystemModuleConfig><ModuleCount3>${modules.length}</ModuleCount3>${lines.join('')}${moduleConfig}</SystemModuleConfig>
  <DBRM_Controller><IPAddr>${controller}</IPAddr></DBRM_Controller>
  ${more}
</Columnstore>
`;
}
