import { StillpointError } from '../errors/index.ts';
import { type ListedEntry, listedEntrySchema } from './files.ts';
import { isListedEntry, linesOf } from './listed.ts';

/** The line of an entry in a dbroot's list, with its end. */
export const encodeEntry = (entry: ListedEntry): string => `${JSON.stringify(entry)}\n`;

/** Reads one line of a list, without its end. `where` names the file in errors. Throws MANIFEST_INVALID. */
function decodeEntry(line: string, where: string, number: number): ListedEntry {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new StillpointError('MANIFEST_INVALID', `${where}, line ${number} is not JSON`, { cause });
  }
  if (isListedEntry(json)) return json;
  const parsed = listedEntrySchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [first] = parsed.error.issues;
  const key = first?.path.join('.');
  throw new StillpointError('MANIFEST_INVALID', `${where}, line ${number}: ${key ? `${key}: ` : ''}${first?.message ?? 'not understood'}`);
}

/**
 * Reads a list from its decompressed bytes, a portion at a time and never more than that. `where` names the file in errors, the number of the
 * line is added. Throws MANIFEST_INVALID, also for a list that stops within a line.
 */
export async function* decodeEntries(pieces: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<ListedEntry[]> {
  const refuse = (what: string, line: number, cause?: unknown): StillpointError =>
    new StillpointError(
      'MANIFEST_INVALID',
      what === 'ends too soon' ? `${where} stops within line ${line}` : `${where}, line ${line} ${what}`,
      {
        cause,
      },
    );
  let number = 0;
  for await (const lines of linesOf(pieces, refuse)) {
    const entries: ListedEntry[] = [];
    for (const line of lines) entries.push(decodeEntry(line, where, ++number));
    yield entries;
  }
}
