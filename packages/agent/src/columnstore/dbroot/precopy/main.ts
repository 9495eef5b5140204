import { stepBack } from '../../../priority/thread.ts';
import { serveThread } from '../../../thread/serve.ts';
import { blockDigest } from './blocks.ts';
import type { FillAnswer, FillOrder, FillWord, ShardToFill } from './orders.ts';
import { ShardFiller } from './shard-filler.ts';

/** A thread that fills one shard. */
serveThread<ShardToFill, FillOrder, FillAnswer, FillWord>(async (shard, say) => {
  stepBack();
  const filler = new ShardFiller(shard, shard.seed && (await blockDigest(shard.seed)), say);
  return (order) => {
    switch (order.kind) {
      case 'alone':
        return { files: filler.addAlone(order.file) };
      case 'together':
        return { files: filler.addTogether(order.files) };
      case 'taken-alone':
        return { files: filler.addTakenAlone(order.file) };
      case 'taken-together':
        return { files: filler.addTakenTogether(order.files) };
      case 'plain':
        filler.addPlain(order.entries);
        return undefined;
      case 'end':
        return { stored: filler.end() };
    }
  };
});
