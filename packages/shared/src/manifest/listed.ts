import { TextDecoder } from 'node:util';
import type { ListedEntry } from './files.ts';

/** A longer line is none of ours: names on disk end at 4096 bytes a path. */
const LONGEST_LINE = 64 * 1024;

/**
 * Lines of a list from its decompressed bytes, without their ends, in portions: a million of them, one by one, would take seconds for nothing. `refuse`
 * makes the error for what is wrong at a line, of which it gets the number.
 */
export async function* linesOf(
  pieces: AsyncIterable<Uint8Array>,
  refuse: (what: 'is not UTF-8' | 'is too long' | 'ends too soon', line: number, cause?: unknown) => unknown,
): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  let number = 1;
  const textOf = (piece?: Uint8Array): string => {
    try {
      return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
    } catch (cause) {
      throw refuse('is not UTF-8', number, cause);
    }
  };
  for await (const piece of pieces) {
    const lines = `${rest}${textOf(piece)}`.split('\n');
    rest = lines.pop() ?? '';
    number += lines.length;
    if (lines.length > 0) yield lines;
    if (rest.length > LONGEST_LINE) throw refuse('is too long', number);
  }
  if (`${rest}${textOf()}` !== '') throw refuse('ends too soon', number);
}

const MODE = /^[0-7]{4}$/;
const INTEGER = /^-?\d+$/;
const NUMBER = /^\d+$/;
const SHA256 = /^[0-9a-f]{64}$/;
/** Nothing, or `.` or `..`, where a name should be, or a character that no name has. */
const NOT_PLAIN = /(?:^|\/)\.{0,2}(?:\/|$)|\0/;

/** What all lines have, and how many keys a line of each type has at least. */
const COMMON_KEYS = 5;
const KEYS = { directory: COMMON_KEYS, link: COMMON_KEYS + 1, file: COMMON_KEYS + 6 } as const;

/**
 * Whether the JSON of a line says what the schema of a line asks for (`listedEntrySchema`, which also says what is wrong). Written by hand: of a
 * schema, a million lines take seconds, and threads that only read lists do not load any. Pure.
 */
export function isListedEntry(json: unknown): json is ListedEntry {
  if (typeof json !== 'object' || json === null) return false;
  const entry = json as Readonly<Record<string, unknown>>;
  const { ctimeNs, inode, target, type } = entry;
  if ((type !== 'file' && type !== 'directory' && type !== 'link') || !isCommon(entry)) return false;
  const optional = type === 'file' ? Number(ctimeNs !== undefined) + Number(inode !== undefined) : 0;
  if (Object.keys(entry).length !== KEYS[type] + optional) return false;
  return type === 'directory' || (type === 'link' ? typeof target === 'string' : isFile(entry));
}

const isCommon = ({ path, mode, owner, mtimeNs }: Readonly<Record<string, unknown>>): boolean =>
  isPlainPath(path) && matches(mode, MODE) && typeof owner === 'string' && matches(mtimeNs, INTEGER);

const isFile = ({ size, sha256, ctimeNs, inode, shard, frame, frameBytes, at }: Readonly<Record<string, unknown>>): boolean =>
  isCount(size) &&
  matches(sha256, SHA256) &&
  (ctimeNs === undefined || matches(ctimeNs, INTEGER)) &&
  (inode === undefined || matches(inode, NUMBER)) &&
  isCount(shard) &&
  isCount(frame) &&
  isCount(frameBytes) &&
  frameBytes > 0 &&
  isCount(at);

/** A path below a dbroot: relative, without `.` or `..` in it, so that a list cannot point outside. Pure. */
export const isPlainPath = (path: unknown): boolean => typeof path === 'string' && !NOT_PLAIN.test(path);

const matches = (value: unknown, pattern: RegExp): boolean => typeof value === 'string' && pattern.test(value);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
