import { parseArgs } from 'node:util';
import { exitOnSignals } from '../harness/processes.ts';
import { measureBlock } from './block.ts';
import { measureCatalog } from './catalog.ts';
import { measureColumnstore } from './columnstore.ts';
import { measureDbrootBlock } from './dbroot-block.ts';
import { measureDbroots, measureManyFiles } from './dbroots.ts';
import { measureIncrement } from './increment.ts';
import { measureManifest } from './manifest.ts';
import type { Figure } from './measure.ts';
import { measureScan } from './scan.ts';
import { measureServerBlock } from './server-block.ts';
import { measureThroughput } from './throughput.ts';

const USAGE =
  'usage: ./dev bench [--output text|json] [--rounds N] [block] [throughput] [dbroots] [many-files] [dbroot-block] [scan] [catalog] [increment] [manifest] [server-block] [server-block-4g] [columnstore]\n';
const SUITES = {
  block: measureBlock,
  throughput: measureThroughput,
  dbroots: measureDbroots,
  catalog: measureCatalog,
  increment: measureIncrement,
  manifest: measureManifest,
  'server-block': measureServerBlock(1),
} as const;

const { values, positionals } = parseArgs({
  options: { output: { type: 'string', default: 'text' }, rounds: { type: 'string', default: '5' } },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
/** Needs the engine, or much time and room, so it is measured only when it is asked for. */
const ON_REQUEST = {
  columnstore: measureColumnstore,
  'dbroot-block': measureDbrootBlock,
  scan: measureScan,
  'many-files': measureManyFiles,
  'server-block-4g': measureServerBlock(4),
} as const;
const ALL = { ...SUITES, ...ON_REQUEST };
const wanted = positionals.length === 0 ? Object.keys(SUITES) : positionals;
if (!wanted.every((name): name is keyof typeof ALL => name in ALL) || !(rounds >= 1) || !/^(text|json)$/.test(values.output)) {
  process.stderr.write(USAGE);
  process.exit(2);
}

exitOnSignals();
for (const name of wanted) {
  const figures = await ALL[name](rounds, (text) => process.stderr.write(`bench: ${text}\n`));
  for (const figure of figures) process.stdout.write(values.output === 'json' ? jsonLine(name, figure) : textLine(figure));
}

function jsonLine(suite: string, figure: Figure): string {
  return `${JSON.stringify({ type: 'figure', suite, ...figure })}\n`;
}

function textLine({ name, value, unit, spread, note }: Figure): string {
  const number = (some: number): string => some.toFixed(unit === 'x' || some < 10 ? 2 : 0);
  const range = spread === undefined ? '' : `(${number(spread[0])} to ${number(spread[1])})`;
  return `${name.padEnd(44)} ${number(value).padStart(8)} ${unit.padEnd(5)} ${range.padEnd(20)} ${note ?? ''}`.trimEnd().concat('\n');
}
