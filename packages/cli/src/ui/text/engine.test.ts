import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { NodeReport } from '@stillpoint/controller';
import { type ColumnstoreFacts, ColumnstoreFactsSchema, ColumnstoreGeneration, EngineMode } from '@stillpoint/shared/proto';
import { describe, expect, it } from 'vitest';
import { nodeFacts } from '../../fixture/samples.ts';
import { engineView } from '../engine-view.ts';
import { nodeView } from '../node-view.ts';
import { styleOf } from '../style.ts';
import { clusterText } from './cluster.ts';
import { engineText } from './engine.ts';

const PLAIN = styleOf({}, {}, false);
const REFERENCE = join(import.meta.dirname, '../../../../../docs/reference/json.md');

type Changes = Omit<MessageInitShape<typeof ColumnstoreFactsSchema>, '$typeName'>;

/** pmN of three, which owns dbroot N and on the first one dbroot 7 too. */
function engine(module: number, changes: Changes = {}): ColumnstoreFacts {
  const numbers = [[1, 7], [2], []][module - 1] ?? [];
  return create(ColumnstoreFactsSchema, {
    ...{ configFile: '/etc/columnstore/Columnstore.xml', version: '6.4.12', generation: ColumnstoreGeneration.V5, configRevision: 7n },
    modules: [1, 2, 3].map((id) => ({ id, addresses: [`10.0.0.${id}`], hostNames: [`mcs${id}`], enabled: true })),
    dbroots: [1, 2, 7].map((number) => ({ number, path: `/srv/data${number}`, owned: numbers.includes(number), bytes: 1_073_741_824n })),
    ...{ module, primaryModule: 1, controllerHost: 'mcs1', storage: 'local', suspendDriver: 'cmapi' },
    ...{ mode: EngineMode.READ_WRITE, status: 'OK. (and the system is ready)', ready: true },
    processes: ['workernode', ...(module === 1 ? ['controllernode'] : []), 'PrimProc'].map((name, at) => ({
      name,
      stage: at + 1,
      pid: 40 + at,
    })),
    ...changes,
  });
}

const report = (node: string, columnstore: ColumnstoreFacts | undefined): NodeReport => {
  const facts = nodeFacts('db1');
  if (columnstore !== undefined) facts.columnstore = columnstore;
  return { node, address: `${node}:7443`, facts };
};
const shown = (...engines: (ColumnstoreFacts | undefined)[]): string =>
  engineText(
    engines.map((each, at) => nodeView(report(`db${at + 1}`, each))),
    PLAIN,
  ).join('\n');
/** What stands in the last column of the only node. */
const state = (changes: Changes): string => shown(engine(1, changes)).split('\n').at(-1)?.split('cmapi').at(-1)?.trim() ?? '';

describe('the engine of a cluster', () => {
  it('is not mentioned where there is none', () => {
    expect(shown(undefined, undefined)).toBe('');
  });

  it('is shown with its release, and per node its module, dbroots and state', () => {
    const stopped = { processes: [{ name: 'workernode', stage: 1, pid: 0 }], mode: EngineMode.UNREACHABLE, ready: false };
    expect(shown(engine(1), engine(2, stopped), engine(3), undefined)).toMatchInlineSnapshot(`
      "
      ColumnStore 6.4.12, release 5 or 6, local dbroots, /etc/columnstore/Columnstore.xml
        node  module         dbroots      data  revision  suspended by  engine
        db1   pm1 (primary)  1, 7     2.00 GiB         7  cmapi         read-write, ready
        db2   pm2            2        1.00 GiB         7  cmapi         stopped
        db3   pm3            none          0 B         7  cmapi         read-write, ready"
    `);
  });

  it.each<[string, Changes]>([
    ['read-write, ready', {}],
    ['read-write, not ready', { ready: false }],
    ['read-only: DBRM is currently Read Only!', { mode: EngineMode.READ_ONLY, status: 'DBRM is currently Read Only!' }],
    ['unknown: one two', { mode: EngineMode.UNSPECIFIED, status: 'one\n\u001b[31mtwo' }],
    [
      'does not run: controllernode',
      {
        processes: [
          { name: 'workernode', stage: 1, pid: 40 },
          { name: 'controllernode', stage: 2, pid: 0 },
        ],
      },
    ],
    ['in doubt, see below', { module: 0, contradictions: ['the file says A, the node B'] }],
    ['no dbroots belong here', { module: 0 }],
  ])('is %s', (words, changes) => {
    expect(state(changes)).toBe(words);
  });

  it('that disagrees with its node, or of which something is missing, is told below, on one line each', () => {
    const contradictions = ['the file has pm1 at A,\nbut this host is B'];
    const missing = ['the file has dbroot 7 in /srv/data7, but there is no such directory'];
    const lines = clusterText({ type: 'cluster', nodes: [report('db1', engine(1, { contradictions, missing }))] }, PLAIN);
    expect(lines.slice(-2)).toEqual([
      '  db1: the file has pm1 at A, but this host is B',
      '  db1: the file has dbroot 7 in /srv/data7, but there is no such directory',
    ]);
  });
});

it('is written to JSON in words, with every field on the reference page', () => {
  const view = engineView(engine(1, { missing: ['a sentence'] }));
  expect(view).toMatchObject({
    ...{ generation: '5 or 6', mode: 'read-write', primary: true, configRevision: 7n, missing: ['a sentence'], contradictions: [] },
    processes: [
      { name: 'workernode', stage: 1, pid: 40 },
      { name: 'controllernode', stage: 2, pid: 41 },
      { name: 'PrimProc', stage: 3, pid: 42 },
    ],
  });
  const paragraph = /^`facts\.columnstore` has ([\s\S]*?)\n\n/m.exec(readFileSync(REFERENCE, 'utf8'))?.[1] ?? '';
  const [module] = view.modules;
  const [dbroot] = view.dbroots;
  const [process] = view.processes;
  for (const field of [view, module, dbroot, process].flatMap((each) => Object.keys(each ?? {})))
    expect(paragraph).toContain(`\`${field}\``);
});
