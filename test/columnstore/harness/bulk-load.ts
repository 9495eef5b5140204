import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../harness/eventually.ts';
import type { NodeContainer, Output } from './node-container.ts';

export interface Rows {
  /** Id of the first row; a row follows from its id alone. */
  readonly first: number;
  readonly rows: number;
  /** Table of the shop with the columns of `sales`; that one if not told. */
  readonly table?: string;
}

/** Lines for `shop.sales`, made inside the node. */
const salesLines = ({ first, rows }: Rows): string =>
  `awk 'BEGIN { for (id = ${first}; id < ${first + rows}; id++)
    printf "%d|%d|%d.%02d|20%02d-%02d-%02d|note %d of sale %d\\n", id, id % 1000 + 1, id * 7 % 9999, id % 100, id % 25, id % 12 + 1, id % 28 + 1, id * 31 % 1013, id }'`;

/** Loads rows by cpimport, which spreads them over all dbroots. However it ends. */
export const tryImportRows = (node: NodeContainer, rows: Rows): Promise<Output> =>
  node.run(`${salesLines(rows)} | cpimport shop ${rows.table ?? 'sales'}`);

/** The same; throws when cpimport refuses or fails. */
export async function importRows(node: NodeContainer, rows: Rows): Promise<void> {
  const ended = await tryImportRows(node, rows);
  if (ended.exitCode !== 0) throw new Error(`cpimport on ${node.name} exited with ${ended.exitCode}:\n${ended.stdout}${ended.stderr}`);
}

/** A cpimport that has its table lock and waits for the rest of its rows. */
export interface OpenImport {
  readonly ended: Promise<Output>;
  /** Gives it the rest. */
  finish(): void;
}

let count = 0;

/** Starts a cpimport into `shop.sales` and waits until it holds its lock. It goes on when it is told to. */
export async function openImport(node: NodeContainer, { first, rows }: Rows): Promise<OpenImport> {
  count += 1;
  const hold = join(node.directory, `import-${count}.hold`);
  writeFileSync(hold, '');
  const half = Math.floor(rows / 2);
  const lines = `${salesLines({ first, rows: half })}; while [ -e ${hold} ]; do sleep 0.05; done; ${salesLines({ first: first + half, rows: rows - half })}`;
  const ended = node.run(`{ ${lines}; } | cpimport shop sales`);
  let isOver = false;
  const over = ended.then((output) => {
    isOver = true;
    return output;
  });
  // On a single node the name of the process is longer: "cpimport.bin (pm1)".
  await eventually(async () => {
    if (isOver) throw new Error(`cpimport on ${node.name} ended before it held its lock:\n${JSON.stringify(await over)}`);
    return /^ {2}shop\.sales .* cpimport(\.bin \(pm\d+\))? /m.test((await node.run('viewtablelock')).stdout);
  }, 60_000);
  return { ended: over, finish: () => rmSync(hold, { force: true }) };
}
