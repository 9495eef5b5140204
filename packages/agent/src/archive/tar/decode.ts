import { Damaged } from '../damaged.ts';
import { BLOCK, checksumOf, FIELD, MAGIC, paddingOf, type TarEntry } from './blocks.ts';

/** Gives the next bytes, exactly as many as asked for. Throws Damaged when there are fewer. */
export type ReadBytes = (bytes: number) => Promise<Buffer>;

const TYPES: Readonly<Record<string, TarEntry['type']>> = { '0': 'file', '2': 'link', '5': 'directory' };
/** Paths and ids take a fraction of it. */
const LARGEST_PAX = 64 * 1024;

/**
 * Reads the blocks before an entry's content. Undefined at the end of the archive, after both of its blocks.
 * Throws Damaged: only what `encodeHeader` writes is understood.
 */
export async function decodeHeader(read: ReadBytes): Promise<TarEntry | undefined> {
  const first = await read(BLOCK);
  if (isZero(first)) {
    if (isZero(await read(BLOCK))) return undefined;
    throw new Damaged('the end of the archive is damaged');
  }
  if (typeOf(first) !== 'x') return entryOf(checked(first), new Map());
  const bytes = numberOf(checked(first), 'size');
  if (bytes > LARGEST_PAX) throw new Damaged(`a pax header has ${bytes} bytes`);
  const records = paxRecords(await read(bytes));
  await read(paddingOf(bytes));
  return entryOf(checked(await read(BLOCK)), records);
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

function checked(block: Buffer): Buffer {
  if (numberOf(block, 'checksum') !== checksumOf(block)) throw new Damaged('a tar header is damaged');
  if (block.toString('latin1', FIELD.magic[0], FIELD.magic[0] + FIELD.magic[1]) !== MAGIC) throw new Damaged('a tar header is not ustar');
  return block;
}

function entryOf(block: Buffer, pax: ReadonlyMap<string, string>): TarEntry {
  const type = TYPES[typeOf(block)];
  if (type === undefined) throw new Damaged(`a tar header is of type ${JSON.stringify(typeOf(block))}`);
  const number = (key: 'uid' | 'gid' | 'size'): number => (pax.has(key) ? Number(pax.get(key)) : numberOf(block, key));
  const path = pax.get('path') ?? textOf(block, 'name');
  return {
    type,
    path: type === 'directory' ? path.replace(/\/$/, '') : path,
    mode: numberOf(block, 'mode'),
    uid: number('uid'),
    gid: number('gid'),
    user: textOf(block, 'user'),
    group: textOf(block, 'group'),
    mtimeNs: pax.has('mtime') ? nanoseconds(pax.get('mtime') ?? '') : BigInt(numberOf(block, 'mtime')) * 1_000_000_000n,
    size: number('size'),
    target: pax.get('linkpath') ?? textOf(block, 'linkname'),
  };
}

const typeOf = (block: Buffer): string => textOf(block, 'type');

function textOf(block: Buffer, field: keyof typeof FIELD): string {
  const [at, length] = FIELD[field];
  const bytes = block.subarray(at, at + length);
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end === -1 ? length : end);
}

function numberOf(block: Buffer, field: keyof typeof FIELD): number {
  const digits = textOf(block, field).trim();
  if (!/^[0-7]+$/.test(digits)) throw new Damaged(`a tar header has no number in its field ${field}`);
  return Number.parseInt(digits, 8);
}

/** Records of `length key=value\n`. A value may hold anything, line ends too, so lengths are what counts. */
function paxRecords(body: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < body.length; ) {
    const blank = body.indexOf(0x20, at);
    const length = Number(body.toString('latin1', at, blank));
    const record = body.subarray(blank + 1, at + length - 1).toString('utf8');
    const equals = record.indexOf('=');
    if (blank < 0 || !(length > blank - at + 1) || at + length > body.length || equals < 0) throw new Damaged('a pax header is damaged');
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

function nanoseconds(seconds: string): bigint {
  const [, sign, whole = '0', fraction = ''] = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(seconds) ?? [];
  if (sign === undefined) throw new Damaged(`a pax header has the time ${seconds}`);
  const ns = BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  return sign === '-' ? -ns : ns;
}
