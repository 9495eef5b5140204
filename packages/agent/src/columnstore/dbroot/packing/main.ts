import { stepBack } from '../../../priority/thread.ts';
import { serveThread } from '../../../thread/serve.ts';
import { scan } from '../scanning/scanner.ts';
import type { PackAnswer, PackOrder, PackWord, ShardToPack } from './orders.ts';
import { ShardPacker } from './shard-packer.ts';

/** A thread that packs one shard. */
serveThread<ShardToPack, PackOrder, PackAnswer, PackWord>((shard, say) => {
  stepBack();
  const packer = new ShardPacker(shard, say);
  return (order) => {
    if (order.kind === 'alone') return { lines: packer.addAlone(order.file) };
    if (order.kind === 'together') return { lines: packer.addTogether(order.files) };
    if (order.kind === 'scan') return scan(shard, order);
    if (order.kind === 'end') return { stored: packer.end() };
    packer.addPlain(order.entries);
    return undefined;
  };
});
