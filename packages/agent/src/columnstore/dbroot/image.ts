import { readBootId } from '../../host/index.ts';
import { type CapturedDbroot, describeDbroot } from './described.ts';
import type { Increment } from './increment/increment.ts';
import { namedShard } from './packing/names.ts';
import { type DbrootPacking, packDbroot } from './packing/pack.ts';
import type { KeptScan } from './scan-file.ts';

/** What an image is made of: a scan, and where what it has found lies. */
export interface ImageOfScan extends Omit<DbrootPacking, 'entries' | 'alsoListed'> {
  /** As Columnstore.xml has it. */
  readonly path: string;
  readonly scan: KeptScan;
  /** When the scan began. */
  readonly lookedAtMs: number;
  /** What is stored already; undefined stores all of it. */
  readonly increment: Increment | undefined;
}

/**
 * Packs what a scan has found, less what earlier sets have stored. Throws what `packDbroot` and `Increment.compare` throw; whatever lies in the part
 * then is the caller's to remove.
 */
export async function packImage({ path, scan, lookedAtMs, increment, ...packing }: ImageOfScan): Promise<CapturedDbroot> {
  const { number, onBytes, recipients, restless, root, shards, signal } = packing;
  await increment?.compare({ root, entries: scan.all(), lookedAtMs, restless, onBytes, signal });
  const borrowed = increment?.borrowed(shards);
  const packed = await packDbroot({ ...packing, entries: increment?.ofThose(scan) ?? scan, alsoListed: borrowed?.lines });
  // Of the bytes that were read: a file that may be written meanwhile counts as it was then.
  const { dataBytes, list } = packed;
  const { files, directories } = scan.found;
  const archives = packed.archives.map((archive, index) => ({ ...namedShard({ number, recipients }, index), ...archive }));
  return describeDbroot({
    ...{ number, path, recipients, files, directories, dataBytes, archives, list, superseded: false, lookedAtMs },
    ...{ borrowed: borrowed?.of, bootId: await readBootId() },
  });
}
