import { ERROR_TABLE, type ErrorRow, EXIT, EXIT_MEANING, type ExitName } from '@stillpoint/shared/errors';
import { code, GENERATED, markdownTable, page } from './markdown.ts';

/** exit-codes.md: how the command ends, and which errors end it so. */
export function exitCodesPage(): string {
  const errors = Object.entries(ERROR_TABLE) as [string, ErrorRow][];
  const endings = Object.entries(EXIT) as [ExitName, number][];
  return page([
    '# Exit codes',
    GENERATED,
    'Stable. A code that is not listed means failure too. Some answers are bad news without being errors: checks that failed end with 4, ' +
      'an agent that does not answer with 5, a damaged set with 9, a plan that cannot be carried out with 10, findings of `config check` with 3.',
    markdownTable(
      ['code', 'meaning', 'errors'],
      endings.map(([name, number]) => [
        String(number),
        EXIT_MEANING[name],
        errors
          .filter(([, row]) => row.exit === name)
          .map(([error]) => code(error))
          .join(', '),
      ]),
    ),
  ]);
}
