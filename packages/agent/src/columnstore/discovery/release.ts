import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { findProgram } from '../../process/index.ts';
import type { Generation } from '../types.ts';

/** Where packages since 1.4 put their release file. */
const PACKAGED = '/usr/share/columnstore';

/**
 * Generation and version of what is installed. Releases before 1.4 have their programs beside their configuration. Of the later ones,
 * mcsadmin tells 1.4; ExeMgr, which became a part of PrimProc with 22.08, tells the others apart, as cmapi does it.
 */
export async function releaseOf(configFile: string): Promise<{ readonly generation: Generation; readonly version: string }> {
  const install = dirname(dirname(configFile));
  const oam = await releaseNumber(install);
  if (oam !== '' && !oam.startsWith('1.4')) return { generation: 'oam', version: oam };
  const version = oam || (await releaseNumber(PACKAGED));
  if ((await findProgram('mcsadmin')) !== undefined && (await findProgram('ProcMgr')) !== undefined) return { generation: '1.4', version };
  return { generation: (await findProgram('ExeMgr')) === undefined ? '22.08' : '5', version };
}

/** `releasenum` has lines such as `version=1.2.5` and `release=1`. */
async function releaseNumber(directory: string): Promise<string> {
  const text = await readFile(join(directory, 'releasenum'), 'utf8').catch(() => '');
  return /^version=(\S+)/m.exec(text)?.[1] ?? '';
}
