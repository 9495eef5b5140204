import { readFileSync } from 'node:fs';
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import { errnoOf, StillpointError } from '../errors/index.ts';
import { closestWord } from './closest-word.ts';
import { keysAt, kindsAt } from './schema-keys.ts';

type Issue = z.core.$ZodIssue;

/**
 * Reads a YAML configuration file against its schema.
 *
 * Throws CONFIG_NOT_FOUND, or CONFIG_INVALID whose message has one line per problem: file, line, key, what is
 * wrong, and the key that was probably meant.
 */
export function loadConfig<S extends z.ZodType>(path: string, schema: S): z.infer<S> {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines });
  const broken = document.errors[0];
  if (broken !== undefined) {
    throw new StillpointError('CONFIG_INVALID', `${path}:${broken.linePos?.[0].line ?? 1}: ${withoutPlace(broken.message)}`);
  }
  const parsed = schema.safeParse(resolvedValue(document, path) ?? {}, { reportInput: true });
  if (parsed.success) return parsed.data;

  const lineOf = (keys: readonly PropertyKey[]): number => {
    const offset = offsetOf(document.contents, keys);
    return offset === undefined ? 1 : lines.linePos(offset).line;
  };
  const problems = parsed.error.issues.flatMap((issue) =>
    describe(issue, schema).map(({ keys, text }) => ({ line: lineOf(keys), keys, text })),
  );
  problems.sort((a, b) => a.line - b.line);
  throw new StillpointError(
    'CONFIG_INVALID',
    problems.map(({ line, keys, text }) => `${path}:${line}: ${keys.length === 0 ? '' : `${keys.join('.')}: `}${text}`).join('\n'),
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new StillpointError('CONFIG_NOT_FOUND', `${path}: ${errnoOf(cause) === 'ENOENT' ? 'no such file' : String(cause)}`, { cause });
  }
}

/** The parser names line and column itself, behind its first sentence. */
const withoutPlace = (message: string): string => (message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '');

/** Aliases are resolved only now: one may be unknown, or they may multiply without end. */
function resolvedValue(document: Document.Parsed, path: string): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw new StillpointError('CONFIG_INVALID', `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Where the key (or, for a missing one, its nearest parent) stands in the text. */
function offsetOf(contents: unknown, keys: readonly PropertyKey[]): number | undefined {
  let node = contents;
  let offset = (contents as Node | null)?.range?.[0];
  for (const key of keys) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
      if (pair === undefined) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (node !== null && typeof node === 'object' && 'items' in node) {
      node = (node as { items: unknown[] }).items[Number(key)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    }
  }
  return offset;
}

function describe(issue: Issue, schema: z.ZodType): { keys: readonly PropertyKey[]; text: string }[] {
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path, issue.input);
    return issue.keys.map((key) => ({ keys: [...issue.path, key], text: `unknown key${suggestion(key, known)}` }));
  }
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
    const kinds = kindsAt(schema, issue.path, issue.discriminator);
    const kind = (issue.input as Record<string, unknown> | undefined)?.[issue.discriminator];
    const wrong = `${JSON.stringify(kind)} is not one of ${kinds.join(', ')}${suggestion(String(kind), kinds)}`;
    return [{ keys: issue.path, text: kind === undefined ? `missing (${kinds.join(' or ')})` : wrong }];
  }
  if (issue.code === 'invalid_type' && issue.input === undefined) return [{ keys: issue.path, text: `missing (${issue.expected})` }];
  return [{ keys: issue.path, text: issue.message }];
}

function suggestion(word: string, known: readonly string[]): string {
  const meant = closestWord(word, known);
  return meant === undefined ? '' : `; did you mean "${meant}"?`;
}
