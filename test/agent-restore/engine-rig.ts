import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ConfigurationFile, PartColumnstore, PartManifest, Shard } from '@stillpoint/shared/manifest';
import { type StageTask, StageTaskSchema } from '@stillpoint/shared/proto';
import { packConfiguration } from '../../packages/agent/src/capture/configuration.ts';
import { captureDbroot } from '../../packages/agent/src/columnstore/dbroot/index.ts';
import { agentConfigSchema } from '../../packages/agent/src/config/schema.ts';
import { openRepository } from '../../packages/agent/src/repository/index.ts';
import { columnstoreXml } from '../columnstore/harness/columnstore-xml.ts';
import { testDirectory } from '../harness/mariadb-server.ts';
import { makePartDirectory, setManifest, writePartManifest } from './parts.ts';
import { agentOf, type Rig, SET } from './rig.ts';

/** Dbroots of the modules of a cluster: that of pm1 first. */
export type Mapping = readonly (readonly number[])[];

/** A node of the engine without a server, nothing of which runs: files only. */
export interface EngineRig extends Pick<Rig, 'agent' | 'config' | 'home'> {
  /** Directory of the dbroots. */
  readonly data: string;
  readonly xml: string;
  dbroot(number: number): string;
}

/** Owner of the engine's data on this system, which is not that of the set. */
const OWNER = { uid: 4711, gid: 4712 };
const isRoot = process.getuid?.() === 0;
export const owner = isRoot ? OWNER : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

/** Makes the files of a module; `change` may edit its Columnstore.xml. */
export function engineRig(module: number, mapping: Mapping, change: (xml: string) => string = (xml) => xml): EngineRig {
  const node = `pm${module}`;
  const home = testDirectory(`engine-${node}`);
  const data = join(home, 'columnstore');
  const xml = join(home, 'etc', 'Columnstore.xml');
  mkdirSync(join(data, 'local'), { recursive: true });
  mkdirSync(dirname(xml));
  writeFileSync(join(data, 'local', 'module'), `${node}\n`);
  const modules = mapping.map((dbroots, index) => ({ name: `pm${index + 1}`, address: hostname(), dbroots }));
  const text = columnstoreXml(modules).replaceAll('/var/lib/columnstore', data).replaceAll('/tmp/columnstore_tmp_files', join(home, 'tmp'));
  writeFileSync(xml, change(text));
  if (isRoot) chownSync(data, OWNER.uid, OWNER.gid);
  const config = agentConfigSchema.parse({
    ...{ cluster: 'shop', node, stateDir: join(home, 'state'), repository: join(home, 'repository') },
    tls: { ca: '/none', cert: '/none', key: '/none' },
    columnstore: { config: xml, dataDirectory: data, service: { driver: 'commands', start: ['true'], stop: ['true'] } },
  });
  return { config, home, data, xml, agent: agentOf(config), dbroot: (number) => join(data, `data${number}`) };
}

/** Puts something like the engine's files into a dbroot; `version` tells one content from another. The first one has a block resolution manager. */
export function fillDbroot(directory: string, number: number, version: string): void {
  const column = join('000.dir', '000.dir', '011.dir', '184.dir', '000.dir');
  const files: Record<string, Buffer> = {
    [join(column, 'FILE000.cdf')]: Buffer.alloc(2_500_000, `${version} column of ${number}`),
    [join(column, 'FILE001.cdf')]: Buffer.from(`${version} second segment`),
    'versionbuffer.cdf': Buffer.alloc(8192),
    'bulkRollback/3001': Buffer.from(version),
    [`only-${version}`]: Buffer.alloc(0),
  };
  for (let index = 0; index < 300; index++) files[join('001.dir', `FILE${index}.cdf`)] = Buffer.from(`${version} ${index}`);
  if (number === 1) {
    const word = Buffer.alloc(12);
    word.writeUInt32LE(0x76f78b20);
    const brm = { BRM_saves_current: Buffer.from('BRM_saves\n'), BRM_saves_em: word, BRM_saves_vbbm: word, BRM_saves_vss: word };
    for (const [name, content] of Object.entries({ ...brm, BRM_saves_journal: Buffer.alloc(0), SMTxnID: word })) {
      files[join('systemFiles', 'dbrm', name)] = content;
    }
  }
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    chmodSync(path, 0o660);
    utimesSync(path, 1_700_000_000.25, 1_700_000_000.25);
  }
  chmodSync(join(directory, '001.dir'), 0o2750);
  symlinkSync('001.dir/FILE0.cdf', join(directory, 'a-link'));
  utimesSync(join(directory, '001.dir'), 1_600_000_000, 1_600_000_000);
}

/** Everything below a directory: kind, mode, time of what is no link, and content. `timed` leaves out times. */
export function picture(directory: string, timed: 'all' | 'files' = 'all'): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (path: string): void => {
    for (const name of readdirSync(path)) {
      const entry = join(path, name);
      const { mode, mtimeMs } = lstatSync(entry);
      const isLink = (mode & 0o170000) === 0o120000;
      const isDirectory = (mode & 0o170000) === 0o040000;
      const content = isLink ? readlinkSync(entry) : isDirectory ? '' : createHash('sha1').update(readFileSync(entry)).digest('hex');
      found[relative(directory, entry)] =
        `${mode.toString(8)} ${isLink || (isDirectory && timed === 'files') ? '' : Math.round(mtimeMs)} ${content}`;
      if (isDirectory) walk(entry);
    }
  };
  walk(directory);
  return found;
}

export interface EnginePart {
  readonly part: PartManifest;
  readonly sha256: string;
  readonly directory: string;
}

/** Takes a part of the dbroots that the node owns, and of configuration files. `fields` change what it says of the engine. */
export async function takeEnginePart(
  rig: EngineRig,
  numbers: readonly number[],
  files: readonly string[] = [],
  fields: Partial<PartColumnstore> = {},
): Promise<EnginePart> {
  const { config, xml, data } = rig;
  const place = { repository: config.repository, cluster: config.cluster, setId: SET, node: config.node };
  const directory = makePartDirectory(place);
  const signal = new AbortController().signal;
  const shards: Shard[] = [];
  const dbroots: PartColumnstore['dbroots'] = [];
  for (const number of numbers) {
    const captured = await captureDbroot({
      ...{ number, path: rig.dbroot(number), brmDirectory: number === 1 ? 'systemFiles/dbrm' : undefined, part: directory },
      ...{ shards: 2, level: 1, recipients: [], onFound: () => {}, onBytes: () => {}, note: () => {}, signal },
    });
    shards.push(...captured.shards);
    dbroots.push(captured.dbroot);
  }
  const packed = await packConfiguration(files, directory, () => {}, signal);
  const columnstore: PartColumnstore = {
    ...{ version: '6.4.12', generation: '5', configFile: xml, configRevision: 1, module: Number(config.node.slice(2)) },
    ...{
      primary: numbers.includes(1),
      dbrmRoot: join(data, 'data1/systemFiles/dbrm/BRM_saves'),
      brmCurrent: numbers.includes(1) ? 'BRM_saves' : '',
    },
    ...{ owner: 'mysql:mysql', dbroots, ...fields },
  };
  const { part, sha256 } = writePartManifest(place, {
    shards: [...shards, packed.shard].filter((shard) => shard !== undefined),
    configuration: [...packed.files] as ConfigurationFile[],
    columnstore,
  });
  await openRepository(config).commitSet(SET, setManifest(place, { [config.node]: sha256 }));
  return { part, sha256, directory };
}

/** A stage task for a node of the engine without a server, whose dbroots all lie in one part, unless told otherwise. */
export const engineStage = ({ part, sha256 }: EnginePart, fields: MessageInitShape<typeof StageTaskSchema> = {}): StageTask =>
  create(StageTaskSchema, {
    setId: SET,
    columnstore: true,
    dbroots: (part.columnstore?.dbroots ?? []).map(({ number }) => ({ number, node: part.node, partSha256: sha256 })),
    ...(fields as object),
  });
