import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { findProgram } from '../../process/index.ts';
import type { Generation } from '../types.ts';

/** Where packages since 1.4 put their release file. */
const PACKAGED = '/usr/share/columnstore';

/** What is installed. */
export interface Release {
  readonly generation: Generation;
  /** Empty when nothing on disk tells it. */
  readonly version: string;
}

/**
 * Release of what is installed. Before 1.4 everything lies below one directory: release file and programs beside the configuration's. Of the later
 * ones, mcsadmin and ProcMgr tell 1.4; ExeMgr, which became a part of PrimProc with 22.08, tells the others apart, as cmapi does it.
 */
export async function releaseOf(configFile: string): Promise<Release> {
  const install = dirname(dirname(configFile));
  const beside = await releaseNumber(install);
  if (beside !== '' && !beside.startsWith('1.4')) return { generation: 'oam', version: beside };
  if (beside === '' && (await hasOwnPrograms(configFile))) return { generation: 'oam', version: '' };
  const version = beside || (await releaseNumber(PACKAGED));
  if (await isThere('mcsadmin', 'ProcMgr')) return { generation: '1.4', version };
  return { generation: (await isThere('ExeMgr')) ? '5' : withoutExeMgr(version), version };
}

/** Where no program of the engine is left, the release file can still tell. */
const withoutExeMgr = (version: string): Generation => (/^[56]\./.test(version) ? '5' : '22.08');

const hasOwnPrograms = async (configFile: string): Promise<boolean> =>
  basename(dirname(configFile)) === 'etc' && (await isThere(join(dirname(dirname(configFile)), 'bin', 'ProcMgr')));

async function isThere(...programs: readonly string[]): Promise<boolean> {
  for (const program of programs) if ((await findProgram(program)) !== undefined) return true;
  return false;
}

/** `releasenum` has lines such as `version=1.2.5` and `release=1`. */
async function releaseNumber(directory: string): Promise<string> {
  const text = await readFile(join(directory, 'releasenum'), 'utf8').catch(() => '');
  return /^version=(\S+)/m.exec(text)?.[1] ?? '';
}
