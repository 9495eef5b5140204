import { stepBack } from '../../../../priority/thread.ts';
import { serveThread } from '../../../../thread/serve.ts';
import { compare } from './compare.ts';
import type { CompareAnswer, CompareOrder, CompareWord } from './orders.ts';

/** A thread that reads files to compare them. */
serveThread<string, CompareOrder, CompareAnswer, CompareWord>((root, say) => {
  stepBack();
  return (files) => files.map((file) => compare(root, file, say));
});
