import { BLOCK_BYTES } from '../../../../archive/write.ts';
import { LiveFile } from '../live-file.ts';
import type { Compared, KnownContent } from './orders.ts';

const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);

/** On a thread: reads a file that may be written meanwhile, to tell whether it has that content; undefined when it is gone. Throws CAPTURE_FAILED. */
export function compare(root: string, { path, sha256 }: KnownContent, onBytes: (bytes: number) => void): Compared | undefined {
  const file = LiveFile.open(root, { path });
  if (file === undefined) return undefined;
  try {
    for (let at = 0; at < file.entry.size; at += block.length) {
      const bytes = Math.min(block.length, file.entry.size - at);
      file.read(block.subarray(0, bytes));
      onBytes(bytes);
    }
    return { entry: file.entry, isSame: !file.isTorn && file.sha256() === sha256, isSure: file.isSure };
  } finally {
    file.close();
  }
}
