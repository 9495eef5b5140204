import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** Something in a generated dbroot. */
export type TreeNode =
  | { readonly type: 'file'; readonly path: string; readonly content: Buffer; readonly mode: number; readonly mtimeMs: number }
  | { readonly type: 'directory'; readonly path: string; readonly mode: number; readonly mtimeMs: number }
  | { readonly type: 'link'; readonly path: string; readonly target: string };

/** Bytes of which zstd makes something, but not nothing; the same for the same seed. */
export function segment(bytes: number, seed: number): Buffer {
  const data = Buffer.alloc(bytes);
  let state = (seed + 1) * 2_654_435_761;
  for (let at = 0; at < bytes; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    // Half of it repeats, as columns do.
    data.writeUInt8(at % 8 < 4 ? state >>> 24 : seed & 0xff, at);
  }
  return data;
}

/** Lays a tree out below a directory; what lies in what comes later. */
export function layOut(root: string, nodes: readonly TreeNode[]): void {
  mkdirSync(root, { recursive: true });
  for (const node of nodes) {
    const path = join(root, node.path);
    mkdirSync(dirname(path), { recursive: true });
    if (node.type === 'directory') mkdirSync(path, { recursive: true });
    if (node.type === 'link') symlinkSync(node.target, path);
    if (node.type === 'file') writeFileSync(path, node.content);
  }
  for (const node of nodes.toReversed()) {
    const path = join(root, node.path);
    if (node.type === 'link') {
      lutimesSync(path, 1_700_000_000.5, 1_700_000_000.5);
      continue;
    }
    chmodSync(path, node.mode);
    utimesSync(path, node.mtimeMs / 1000, node.mtimeMs / 1000);
  }
}

const COLUMN = '000.dir/000.dir/011.dir';

/** A dbroot as the engine makes them: columns, version buffer, bulk rollback, unfinished chunks; with a block resolution manager if it is the first. */
export function engineTree({ first, columns, segmentBytes }: { first: boolean; columns: number; segmentBytes: number }): TreeNode[] {
  const file = (path: string, content: Buffer | string): TreeNode => ({
    ...{ type: 'file', path, content: Buffer.from(content as string), mode: 0o660 },
    mtimeMs: 1_700_000_000_123.25 + path.length,
  });
  const nodes: TreeNode[] = [];
  for (let column = 0; column < columns; column++) {
    const directory = `${COLUMN}/${String(column).padStart(3, '0')}.dir/000.dir`;
    nodes.push(file(`${directory}/FILE000.cdf`, segment(segmentBytes, column)), file(`${directory}/FILE001.cdf`, segment(8192, column)));
  }
  nodes.push(
    file('versionbuffer.cdf', Buffer.alloc(3_000_000)),
    file('bulkRollback/3001', 'rollback'),
    file('bulkRollback/3001_data/3001.0.0', segment(5000, 7)),
    ...['chk', 'hdr', 'rlc', 'tmp', 'orig'].map((end) => file(`${COLUMN}/000.dir/000.dir/FILE000.cdf.${end}`, end)),
  );
  if (!first) return nodes;
  const dbrm = (name: string, content: Buffer | string): TreeNode => file(`systemFiles/dbrm/${name}`, content);
  const sets = ['BRM_saves', 'BRM_savesA'].flatMap((set) => ['em', 'vbbm', 'vss'].map((kind) => dbrm(`${set}_${kind}`, `${set} ${kind}`)));
  return [
    ...nodes,
    ...sets,
    ...[dbrm('BRM_saves_current', 'BRM_saves\n'), dbrm('BRM_saves_journal', ''), dbrm('SMTxnID', Buffer.alloc(12))],
    ...[dbrm('oidbitmap', Buffer.alloc(2_097_152)), dbrm('tablelocks', Buffer.alloc(4)), dbrm('DMLLog_27_1', 'log')],
  ];
}

/** What lies below a directory, a line each: type, mode, time to the nanosecond, and digest or target. */
export function pictureOf(root: string, directory = ''): string[] {
  return readdirSync(join(root, directory))
    .sort()
    .flatMap((name) => {
      const path = join(directory, name);
      const stats = lstatSync(join(root, path), { bigint: true });
      const mode = (Number(stats.mode) & 0o7777).toString(8);
      const line = `${path} ${mode} ${stats.mtimeNs}`;
      if (stats.isSymbolicLink()) return [`link ${path} ${stats.mtimeNs} ${readlinkSync(join(root, path))}`];
      if (stats.isDirectory()) return [`directory ${line}`, ...pictureOf(root, path)];
      return [
        `file ${line} ${createHash('sha256')
          .update(readFileSync(join(root, path)))
          .digest('hex')}`,
      ];
    });
}
