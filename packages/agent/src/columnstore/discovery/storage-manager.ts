import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, StillpointError } from '@stillpoint/shared/errors';

/**
 * True when storagemanager.cnf beside Columnstore.xml puts the data into object storage. The file is there in every release since 1.4, with
 * `service = LocalStorage` where nothing of the kind is in use. Throws COLUMNSTORE_CONFIG when it cannot be read.
 */
export async function storesObjects(configFile: string): Promise<boolean> {
  const file = join(dirname(configFile), 'storagemanager.cnf');
  try {
    return serviceOf(await readFile(file, 'utf8')).toLowerCase() === 's3';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw new StillpointError('COLUMNSTORE_CONFIG', `${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** `service` of the section [ObjectStorage]; empty when there is none. */
function serviceOf(text: string): string {
  let section = '';
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line.startsWith('[')) section = line;
    const [name = '', value = ''] = line.split('=');
    if (section === '[ObjectStorage]' && name.trim() === 'service') return value.trim();
  }
  return '';
}
