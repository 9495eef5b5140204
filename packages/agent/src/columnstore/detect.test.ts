import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CheckStatus } from '@stillpoint/shared/proto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkColumnstore, detectColumnstore } from './detect.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stillpoint-columnstore-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('a node without a configuration file of ColumnStore is fine', async () => {
  const config = { columnstoreConfig: join(directory, 'Columnstore.xml') };
  expect(await detectColumnstore(config)).toBeUndefined();
  expect(await checkColumnstore(config)).toMatchObject({ name: 'columnstore.supported', status: CheckStatus.OK });
});

test('a node with ColumnStore is refused', async () => {
  const columnstoreConfig = join(directory, 'Columnstore.xml');
  await writeFile(columnstoreConfig, '<Columnstore/>');
  expect(await detectColumnstore({ columnstoreConfig })).toMatchObject({ configFile: columnstoreConfig, version: '' });
  expect(await checkColumnstore({ columnstoreConfig })).toMatchObject({ status: CheckStatus.FAILED, code: 'COLUMNSTORE_UNSUPPORTED' });
});

test('an old release tells its version', async () => {
  await mkdir(join(directory, 'etc'));
  const columnstoreConfig = join(directory, 'etc', 'Columnstore.xml');
  await writeFile(columnstoreConfig, '<Columnstore/>');
  await writeFile(join(directory, 'releasenum'), 'version=1.2.5\nrelease=1\n');
  expect(await detectColumnstore({ columnstoreConfig })).toMatchObject({ version: '1.2.5' });
});
