import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LAYOUT } from '@stillpoint/shared/manifest';

/** The operation that began the part in a directory; undefined when nothing tells. */
export async function operationOf(part: string): Promise<string | undefined> {
  for (const name of [LAYOUT.started, LAYOUT.partManifest]) {
    const text = await readFile(join(part, name), 'utf8').catch(() => '');
    const operationId = /"operationId"\s*:\s*"([^"]+)"/.exec(text)?.[1];
    if (operationId !== undefined) return operationId;
  }
  return undefined;
}
