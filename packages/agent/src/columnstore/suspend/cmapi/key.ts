import { readFile } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';

/**
 * The API key in the configuration file of cmapi; undefined when it holds none. An INI file whose values may stand in quotes. Pure.
 */
export function parseKey(text: string): string | undefined {
  let section = '';
  let key: string | undefined;
  for (const line of text.split('\n').map((raw) => raw.trim())) {
    if (line.startsWith('#') || line.startsWith(';')) continue;
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const value = /^x-api-key\s*[=:]\s*(.*)$/i.exec(line)?.[1];
    if (section === 'Authentication' && value !== undefined) key = value.replace(/^(['"])(.*)\1$/, '$2').trim();
  }
  return key === '' ? undefined : key;
}

/**
 * The API key that cmapi will accept. None is ever made up: a cmapi without a key adopts the first that it is sent. Throws
 * COLUMNSTORE_CONFIG when there is none, or the file cannot be read. The key is in no message.
 */
export async function readKey(configFile: string): Promise<string> {
  const text = await readFile(configFile, 'utf8').catch((cause: unknown) => {
    throw new StillpointError('COLUMNSTORE_CONFIG', `The API key of cmapi cannot be read: ${(cause as Error).message}`, {
      hint: 'Let the agent read that file, or set `columnstore.cmapi.configFile`, or `columnstore.suspend: dbrmctl`.',
      cause,
    });
  });
  const key = parseKey(text);
  if (key === undefined) {
    throw new StillpointError('COLUMNSTORE_CONFIG', `cmapi has no API key: none is set in [Authentication] of ${configFile}`, {
      hint: 'Set one with `mcs cluster set api-key --key KEY`, or set `columnstore.suspend: dbrmctl` in agent.yaml.',
    });
  }
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new StillpointError('COLUMNSTORE_CONFIG', `The API key in ${configFile} has characters that no HTTP header can carry`, {
      hint: 'Set another with `mcs cluster set api-key --key KEY`.',
    });
  }
  return key;
}
