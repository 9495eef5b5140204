import { ERROR_TABLE, type ErrorRow, EXIT } from '@stillpoint/shared/errors';
import { code, GENERATED, markdownTable, page } from './markdown.ts';

/** errors.md: the closed table of errors. */
export function errorsPage(): string {
  const rows = Object.entries(ERROR_TABLE) as [string, ErrorRow][];
  return page([
    '# Errors',
    GENERATED,
    'Every error has one of these codes, in text and in [JSON](json.md). The message says what happened and where; the hint says what to do next, and ' +
      'is the one below unless the error knows better. *Again* marks errors that may be gone at the next attempt without anybody changing anything.',
    markdownTable(
      ['code', 'meaning', 'what to do', 'exit code', 'again'],
      rows.map(([name, row]) => [
        code(name),
        row.summary,
        row.hint,
        `[${EXIT[row.exit]}](exit-codes.md)`,
        row.retryable === true ? 'yes' : '',
      ]),
    ),
  ]);
}
