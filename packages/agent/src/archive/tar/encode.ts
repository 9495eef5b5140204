import { BLOCK, checksumOf, FIELD, MAGIC, paddingOf, type TarEntry } from './blocks.ts';

const TYPE = { file: '0', link: '2', directory: '5' } as const;
const NS = 1_000_000_000n;
const ZEROS = Buffer.alloc(BLOCK);

/** The blocks that stand before an entry's content: a pax header where a ustar header alone would lose something, and the ustar header. */
export function encodeHeader(entry: TarEntry): Buffer {
  const path = entry.type === 'directory' ? `${entry.path}/` : entry.path;
  const records = paxRecords(entry, path);
  const fields = { ...entry, path, type: TYPE[entry.type], seconds: floorSeconds(entry.mtimeNs) };
  const header = ustar(fields);
  if (records.length === 0) return header;
  const body = Buffer.from(records.join(''));
  const pax = ustar({ ...fields, path: 'PaxHeader', target: '', type: 'x', size: body.length });
  return Buffer.concat([pax, body, ZEROS.subarray(0, paddingOf(body.length)), header]);
}

interface Fields extends Omit<TarEntry, 'type' | 'mtimeNs'> {
  readonly type: string;
  readonly seconds: bigint;
}

/** What does not fit its field is left empty there: a pax record says it. */
function ustar({ path, mode, uid, gid, size, seconds, type, target, user, group }: Fields): Buffer {
  // From the pool, unlike alloc: there is one for each of very many files.
  const block = Buffer.allocUnsafe(BLOCK).fill(0);
  const text = (field: keyof typeof FIELD, value: string): void => {
    const [at, length] = FIELD[field];
    block.write(value, at, length);
  };
  const octal = (field: keyof typeof FIELD, value: number | bigint): void => {
    const digits = value.toString(8).padStart(FIELD[field][1] - 1, '0');
    text(field, fits(value, field) ? `${digits}\0` : '0'.repeat(FIELD[field][1] - 1));
  };
  text('name', path);
  octal('mode', mode);
  octal('uid', uid);
  octal('gid', gid);
  octal('size', size);
  octal('mtime', seconds);
  text('type', type);
  text('linkname', target);
  text('magic', MAGIC);
  if (Buffer.byteLength(user) < FIELD.user[1]) text('user', user);
  if (Buffer.byteLength(group) < FIELD.group[1]) text('group', group);
  text('checksum', `${checksumOf(block).toString(8).padStart(6, '0')}\0 `);
  return block;
}

/** Octal digits, with the end that follows them. */
const fits = (value: number | bigint, field: keyof typeof FIELD): boolean => value >= 0 && value.toString(8).length <= FIELD[field][1] - 1;

function paxRecords(entry: TarEntry, path: string): string[] {
  const { uid, gid, size, mtimeNs, target } = entry;
  const seconds = floorSeconds(mtimeNs);
  return [
    ...(isPlain(path, FIELD.name[1]) ? [] : [record('path', path)]),
    ...(isPlain(target, FIELD.linkname[1]) ? [] : [record('linkpath', target)]),
    ...(fits(size, 'size') ? [] : [record('size', String(size))]),
    ...(fits(uid, 'uid') ? [] : [record('uid', String(uid))]),
    ...(fits(gid, 'gid') ? [] : [record('gid', String(gid))]),
    ...(seconds * NS === mtimeNs && fits(seconds, 'mtime') ? [] : [record('mtime', decimalSeconds(mtimeNs))]),
  ];
}

/** Whether a field holds it as it is, whatever character set its reader has. */
const isPlain = (text: string, bytes: number): boolean => text.length <= bytes && /^[\x20-\x7e]*$/.test(text);

/** A record begins with its own length in decimal, which counts itself. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + 1;
  while (bytes + String(length).length !== length) length = bytes + String(length).length;
  return `${length}${rest}`;
}

const floorSeconds = (ns: bigint): bigint => (ns - (((ns % NS) + NS) % NS)) / NS;

function decimalSeconds(ns: bigint): string {
  const size = ns < 0n ? -ns : ns;
  return `${ns < 0n ? '-' : ''}${size / NS}.${String(size % NS).padStart(9, '0')}`;
}
