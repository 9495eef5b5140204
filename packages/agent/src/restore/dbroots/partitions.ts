import { readFile } from 'node:fs/promises';
import { StillpointError } from '@stillpoint/shared/errors';
import { parseConfig } from '../../columnstore/configuration/document.ts';
import { readConfiguration } from '../configuration.ts';
import type { PartSource } from '../source.ts';
import type { EngineTarget } from './target.ts';

/**
 * How many files a partition of a column has is in no file but Columnstore.xml, and another number leads the engine to files that there are
 * not. Compared as far as both are known. Throws RESTORE_REFUSED, COLUMNSTORE_CONFIG, or what reading the part throws.
 */
export async function refuseOtherPartitions(target: EngineTarget, sources: Iterable<PartSource>, signal: AbortSignal): Promise<void> {
  if (!target.isPresent) return;
  const now = filesPerPartition(target.configFile, await readFile(target.configFile, 'utf8'));
  for (const source of sources) {
    const { node, columnstore, configuration } = source.part;
    const entry = configuration.find(({ path }) => path === columnstore?.configFile);
    if (entry === undefined) continue;
    const text = (await readConfiguration(source, [entry], signal)).get(entry.path)?.toString('utf8') ?? '';
    const then = filesPerPartition(`${entry.path} of node ${node} in the set`, text);
    if (then === now) return;
    throw new StillpointError(
      'RESTORE_REFUSED',
      `ExtentMap/FilesPerColumnPartition was ${then} on ${node} and is ${now} in ${target.configFile}: the engine would not find its files`,
      { hint: `Set it to ${then} in Columnstore.xml on all nodes.` },
    );
  }
}

/** What the engine takes where the file says nothing. */
const DEFAULT = '4';

const filesPerPartition = (file: string, text: string): string =>
  parseConfig(file, text).value('ExtentMap', 'FilesPerColumnPartition') ?? DEFAULT;
