import { TextDecoder } from 'node:util';
import { StillpointError } from '../errors/index.ts';
import { type ListedEntry, listedEntrySchema } from './files.ts';

/** A longer line is none of ours: names on disk end at 4096 bytes a path. */
const LONGEST_LINE = 64 * 1024;

/** The line of an entry in a dbroot's list, with its end. */
export const encodeEntry = (entry: ListedEntry): string => `${JSON.stringify(entry)}\n`;

/** Reads one line of a list, without its end. `where` names file and line in errors. Throws MANIFEST_INVALID. */
function decodeEntry(line: string, where: string): ListedEntry {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new StillpointError('MANIFEST_INVALID', `${where} is not JSON`, { cause });
  }
  const parsed = listedEntrySchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [first] = parsed.error.issues;
  const key = first?.path.join('.');
  throw new StillpointError('MANIFEST_INVALID', `${where}: ${key ? `${key}: ` : ''}${first?.message ?? 'not understood'}`);
}

/**
 * Reads a list from its decompressed bytes, a line at a time and never more than that. `where` names the file in errors, the number of the
 * line is added. Throws MANIFEST_INVALID, also for a list that stops within a line.
 */
export async function* decodeEntries(pieces: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<ListedEntry> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  let number = 0;
  for await (const piece of pieces) {
    const lines = `${rest}${textOf(decoder, piece, `${where}, line ${number + 1}`)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield decodeEntry(line, `${where}, line ${++number}`);
    if (rest.length > LONGEST_LINE) throw new StillpointError('MANIFEST_INVALID', `${where}, line ${number + 1} is too long`);
  }
  rest += textOf(decoder, undefined, `${where}, line ${number + 1}`);
  if (rest !== '') throw new StillpointError('MANIFEST_INVALID', `${where} stops within line ${number + 1}`);
}

function textOf(decoder: TextDecoder, piece: Uint8Array | undefined, where: string): string {
  try {
    return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
  } catch (cause) {
    throw new StillpointError('MANIFEST_INVALID', `${where} is not UTF-8`, { cause });
  }
}
