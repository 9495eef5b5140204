/** Says on each generated page where it comes from. */
export const GENERATED = '<!-- Written by `./dev generate`; changes belong where they come from. -->';

/** A cell of a table: pipes and line breaks would end it. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** A table; empty without rows. */
export function markdownTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(titles), `|${titles.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

/** Text as code. */
export const code = (text: string): string => (text === '' ? '' : `\`${text}\``);

/** A page: blocks with a blank line between them, empty ones left out. */
export const page = (blocks: readonly string[]): string => `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
