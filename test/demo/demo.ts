import { parseArgs } from 'node:util';
import { exitOnSignals } from '../harness/processes.ts';
import { tellColumnstoreStory } from './columnstore-story.ts';
import { tellStory } from './story.ts';
import { jsonTeller, textTeller } from './teller.ts';

const { values } = parseArgs({
  options: { output: { type: 'string', default: 'text' }, columnstore: { type: 'boolean', default: false } },
});
if (values.output !== 'text' && values.output !== 'json') {
  process.stderr.write('usage: ./dev demo [--columnstore] [--output text|json]\n');
  process.exit(2);
}

exitOnSignals();
const teller = values.output === 'json' ? jsonTeller() : textTeller();
const summary = await (values.columnstore ? tellColumnstoreStory(teller) : tellStory(teller));
teller.summary(summary);
process.exitCode = summary.ok ? 0 : 1;
