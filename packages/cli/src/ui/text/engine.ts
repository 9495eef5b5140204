import type { EngineView } from '../engine-view.ts';
import { onOneLine } from '../foreign-text.ts';
import type { NodeView } from '../node-view.ts';
import type { Style } from '../style.ts';
import { table } from '../table.ts';
import { formatBytes } from '../units.ts';

/** ColumnStore of the cluster: what the engine is, and what each of its nodes is in it; nothing without ColumnStore. */
export function engineText(views: readonly NodeView[], style: Style): readonly string[] {
  const engines = views.flatMap(({ node, facts }) => (facts?.columnstore ? [{ node, engine: facts.columnstore }] : []));
  const [first] = engines;
  if (first === undefined) return [];
  return [
    '',
    heading((engines.find(({ engine }) => engine.primary) ?? first).engine),
    ...table(
      [
        { title: 'node' },
        { title: 'module' },
        { title: 'dbroots' },
        { title: 'data', align: 'right' },
        { title: 'revision', align: 'right' },
        { title: 'suspended by' },
        { title: 'engine', shrink: true },
      ],
      engines.map(({ node, engine }) => [
        node,
        engine.module === 0 ? 'none' : `pm${engine.module}${engine.primary ? ' (primary)' : ''}`,
        ownedOf(engine)
          .map(({ number }) => number)
          .join(', ') || 'none',
        formatBytes(ownedOf(engine).reduce((bytes, dbroot) => bytes + Number(dbroot.bytes), 0)),
        String(engine.configRevision),
        engine.suspendDriver,
        stateOf(engine, style),
      ]),
      style,
    ),
  ];
}

const ownedOf = ({ dbroots }: EngineView): EngineView['dbroots'] => dbroots.filter(({ owned }) => owned);

function heading({ version, generation, configFile, storage }: EngineView): string {
  const release = [version, generation === '' ? '' : `release ${generation}`].filter((word) => word !== '').join(', ');
  return `ColumnStore${release === '' ? '' : ` ${release}`}, ${storage === 'local' ? 'local dbroots' : storage}, ${configFile}`;
}

function stateOf({ mode, ready, status, processes, module, contradictions }: EngineView, style: Style): string {
  const stopped = processes.filter(({ pid }) => pid === 0).map(({ name }) => name);
  if (module === 0) return contradictions.length === 0 ? 'no dbroots belong here' : style.paint('red', 'in doubt, see below');
  if (stopped.length === processes.length) return style.paint('yellow', 'stopped');
  if (stopped.length > 0) return style.paint('red', `does not run: ${stopped.join(', ')}`);
  if (mode === 'read-write' && ready) return style.paint('green', 'read-write, ready');
  return style.paint('red', mode === 'read-write' ? 'read-write, not ready' : `${mode}: ${onOneLine(status)}`);
}
