import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { ERROR_TABLE } from '@stillpoint/shared/errors';
import { type CheckResult, CheckResultSchema, CheckStatus, type ColumnstoreFacts, ColumnstoreFactsSchema } from '@stillpoint/shared/proto';
import type { AgentConfig } from '../config/schema.ts';
import { exists } from '../host/index.ts';

/** Where releases of ColumnStore before 1.4 kept their configuration. */
const LEGACY_CONFIG = '/usr/local/mariadb/columnstore/etc/Columnstore.xml';

/** ColumnStore on this node, by its configuration file; undefined when there is none. Throws the system's error. */
export async function detectColumnstore({
  columnstoreConfig,
}: Pick<AgentConfig, 'columnstoreConfig'>): Promise<ColumnstoreFacts | undefined> {
  for (const configFile of [columnstoreConfig, LEGACY_CONFIG]) {
    if (await exists(configFile)) return create(ColumnstoreFactsSchema, { configFile, version: await installedVersion(configFile) });
  }
  return undefined;
}

/** `columnstore.supported`: failed on a node with ColumnStore, for a backup of its tables alone would not match the dbroots. */
export async function checkColumnstore(config: Pick<AgentConfig, 'columnstoreConfig'>): Promise<CheckResult> {
  const found = await detectColumnstore(config);
  const name = 'columnstore.supported';
  if (found === undefined) return create(CheckResultSchema, { name, status: CheckStatus.OK, message: 'No ColumnStore on this node' });
  const code = 'COLUMNSTORE_UNSUPPORTED';
  return create(CheckResultSchema, {
    name,
    status: CheckStatus.FAILED,
    message: `ColumnStore is configured by ${found.configFile}`,
    hint: ERROR_TABLE[code].hint,
    code,
  });
}

/** Releases before 1.4 have a file of lines such as `version=1.2.5` in their root; later ones tell it nowhere on disk. */
async function installedVersion(configFile: string): Promise<string> {
  const text = await readFile(join(dirname(dirname(configFile)), 'releasenum'), 'utf8').catch(() => '');
  return /^version=(\S+)/m.exec(text)?.[1] ?? '';
}
