import { serveThread } from '../../../thread/serve.ts';
import { blockDigest } from '../precopy/blocks.ts';
import { TakenFiles } from '../precopy/taken-files.ts';
import type { ScannedRoot, ScanningAnswer, ScanningOrder } from './orders.ts';
import { scan } from './scanner.ts';

/** A thread that looks at a dbroot, and takes files of it. */
serveThread<ScannedRoot, ScanningOrder, ScanningAnswer, never>(async (of) => {
  const taken = new TakenFiles(of, of.seed && (await blockDigest(of.seed)));
  return (order) => (order.kind === 'scan' ? scan(of, order) : taken.take(order));
});
