import { dirname, isAbsolute, join } from 'node:path';
import { StillpointError } from '@stillpoint/shared/errors';
import type { Module, Topology } from '../types.ts';
import type { ConfigDocument } from './document.ts';

/** Performance modules have type 3 in the names of elements: ModuleIPAddr2-1-3 is the first address of pm2. */
const PERFORMANCE_MODULE = 3;
/** User modules, of releases before 1.4, have type 2. */
const USER_MODULE = 2;
/** What stands for "not set". */
const UNSET = new Set(['unassigned', '0.0.0.0']);

/**
 * What Columnstore.xml says of the cluster. Pure. Throws COLUMNSTORE_CONFIG that names file and element: a dbroot without a path, one
 * that two modules own or nobody does, a module without an address, no place for the block resolution manager.
 */
export function topologyOf(config: ConfigDocument): Topology {
  const dbroots = dbrootsOf(config);
  const modules = modulesOf(config);
  requireOneOwner(config.file, modules, dbroots);
  return {
    configRevision: numberIn(config, 'ConfigRevision', config.rootValue('ConfigRevision') ?? '0'),
    managedByCmapi: config.section('ActiveNodes').some(({ text }) => text !== ''),
    modules,
    dbroots,
    controllerHost: required(config, 'DBRM_Controller', 'IPAddr'),
    primaryModule: modules.find((module) => module.dbroots.includes(1))?.id ?? 0,
    dbrmRoot: absolute(config, 'SystemConfig', 'DBRMRoot'),
    scratchDirectory: scratchOf(config),
    storage: config.value('SystemConfig', 'DataFilePlugin')?.includes('libcloudio') === true ? 'storagemanager' : 'local',
  };
}

/** Every dbroot that is named: numbers have holes where one was removed, so counting up to DBRootCount would miss some. */
function dbrootsOf(config: ConfigDocument): Map<number, string> {
  const dbroots = new Map<number, string>();
  for (const { name } of config.section('SystemConfig')) {
    const number = /^DBRoot([1-9]\d*)$/.exec(name)?.[1];
    if (number !== undefined) dbroots.set(Number(number), absolute(config, 'SystemConfig', name));
  }
  // Numbers may have holes, but the engine keeps its catalog and the block resolution manager in the first.
  if (!dbroots.has(1)) throw invalid(config, 'SystemConfig/DBRoot1 is missing');
  return new Map([...dbroots].sort(([a], [b]) => a - b));
}

function modulesOf(config: ConfigDocument): Module[] {
  const elements = config.section('SystemModuleConfig');
  const ids = new Set<number>();
  for (const { name } of elements) {
    const id = /^Module(?:IPAddr|HostName)([1-9]\d*)-\d+-3$/.exec(name)?.[1] ?? /^ModuleDBRootCount([1-9]\d*)-3$/.exec(name)?.[1];
    if (id !== undefined) ids.add(Number(id));
  }
  // ModuleCount is what the engine counts to; entries beyond it are left over from nodes that were removed.
  const countName = `ModuleCount${PERFORMANCE_MODULE}`;
  const count = numberIn(config, countName, required(config, 'SystemModuleConfig', countName));
  const modules = [...ids].sort((a, b) => a - b).map((id) => moduleOf(config, id));
  const present = modules.filter(({ addresses, hostNames }) => addresses.length + hostNames.length > 0);
  if (present.length < count) throw invalid(config, `ModuleCount3 is ${count}, but only ${present.length} modules have an address`);
  return present.slice(0, count);
}

function moduleOf(config: ConfigDocument, id: number): Module {
  const elements = config.section('SystemModuleConfig');
  const perNic = (kind: string): string[] =>
    elements
      .filter(
        ({ name, text }) => name.startsWith(`${kind}${id}-`) && name.endsWith(`-${PERFORMANCE_MODULE}`) && text !== '' && !UNSET.has(text),
      )
      .map(({ text }) => text);
  const countName = `ModuleDBRootCount${id}-${PERFORMANCE_MODULE}`;
  const count = numberIn(config, countName, config.value('SystemModuleConfig', countName) ?? '0');
  const dbroots: number[] = [];
  for (let ordinal = 1; ordinal <= count; ordinal += 1) {
    const name = `ModuleDBRootID${id}-${ordinal}-${PERFORMANCE_MODULE}`;
    const text = config.value('SystemModuleConfig', name);
    if (text === undefined || UNSET.has(text)) throw invalid(config, `${countName} is ${count}, but ${name} names no dbroot`);
    dbroots.push(numberIn(config, name, text));
  }
  const disabled = config.value('SystemModuleConfig', `ModuleDisableState${id}-${PERFORMANCE_MODULE}`) ?? 'ENABLED';
  return {
    id,
    addresses: perNic('ModuleIPAddr'),
    hostNames: perNic('ModuleHostName'),
    dbroots: dbroots.toSorted((a, b) => a - b),
    enabled: disabled === 'ENABLED',
  };
}

/** True when the file has a user module of that id: one that owns no data. Pure. */
export const hasUserModule = (config: ConfigDocument, id: number): boolean =>
  ['ModuleIPAddr', 'ModuleHostName'].some((kind) => {
    const text = config.value('SystemModuleConfig', `${kind}${id}-1-${USER_MODULE}`);
    return text !== undefined && !UNSET.has(text);
  });

function requireOneOwner(file: string, modules: readonly Module[], dbroots: ReadonlyMap<number, string>): void {
  const fail = (message: string): StillpointError => new StillpointError('COLUMNSTORE_CONFIG', `${file}: ${message}`);
  const owners = new Map<number, number>();
  for (const { id, dbroots: owned } of modules) {
    for (const number of owned) {
      const other = owners.get(number);
      if (other !== undefined) throw fail(`dbroot ${number} belongs to pm${other} and to pm${id}`);
      if (!dbroots.has(number)) throw fail(`pm${id} owns dbroot ${number}, but there is no DBRoot${number} with its directory`);
      owners.set(number, id);
    }
  }
  for (const number of dbroots.keys()) if (!owners.has(number)) throw fail(`dbroot ${number} belongs to no module`);
}

/** Copies of the block resolution manager on nodes that do not keep it; the default is that of the engine. */
function scratchOf(config: ConfigDocument): string {
  const base = config.value('SystemConfig', 'SystemTempFileDir') ?? '/tmp/columnstore_tmp_files';
  return join(base, config.value('SystemConfig', 'hdfsRdwrScratch') ?? 'rdwrscratch');
}

function required(config: ConfigDocument, section: string, name: string): string {
  const text = config.value(section, name);
  if (text === undefined || UNSET.has(text)) throw invalid(config, `${section}/${name} is missing`);
  return text;
}

function absolute(config: ConfigDocument, section: string, name: string): string {
  const text = required(config, section, name);
  if (!isAbsolute(text)) throw invalid(config, `${section}/${name} is no absolute path: ${text}`);
  // Without a trailing slash, dots or doubled separators.
  return join(dirname(text), text.replace(/\/+$/, '').split('/').pop() ?? '');
}

function numberIn(config: ConfigDocument, name: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw invalid(config, `${name} is no number: ${text}`);
}

const invalid = ({ file }: ConfigDocument, message: string): StillpointError =>
  new StillpointError('COLUMNSTORE_CONFIG', `${file}: ${message}`);
