import { stripVTControlCharacters } from 'node:util';
import type { Style } from './style.ts';

/** A column of a table. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Cut this column when the table is wider than the terminal. */
  readonly shrink?: boolean;
}

const GAP = '  ';

/** Length as shown: without the control characters of colours. */
export const shownLength = (text: string): number => [...stripVTControlCharacters(text)].length;

/** The text in at most `width` characters, the last one an ellipsis where it was cut. Colours of cut text are lost. */
export function cut(text: string, width: number, style: Pick<Style, 'unicode'>): string {
  if (shownLength(text) <= width) return text;
  const plain = [...stripVTControlCharacters(text)];
  const ellipsis = style.unicode ? '…' : '...';
  return plain.slice(0, Math.max(0, width - ellipsis.length)).join('') + ellipsis.slice(0, width);
}

function pad(text: string, width: number, align: Column['align']): string {
  const blank = ' '.repeat(Math.max(0, width - shownLength(text)));
  return align === 'right' ? blank + text : text + blank;
}

/**
 * Lines of an aligned table, indented by two. Columns that are empty in every row are left out.
 * Empty when there are no rows.
 */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string[] {
  const used = columns.map((column, index) => ({ column, index })).filter(({ index }) => rows.some((row) => (row[index] ?? '') !== ''));
  if (used.length === 0) return [];
  const widths = used.map(({ column, index }) => Math.max(shownLength(column.title), ...rows.map((row) => shownLength(row[index] ?? ''))));
  fit(
    widths,
    used.map(({ column }) => column),
    style,
  );

  const line = (cell: (column: Column, index: number, width: number) => string): string =>
    used
      .map(({ column, index }, at) => pad(cell(column, index, widths[at] ?? 0), widths[at] ?? 0, column.align))
      .join(GAP)
      .trimEnd();
  return [
    GAP +
      style.paint(
        'dim',
        line((column) => column.title),
      ),
    ...rows.map((row) => GAP + line((_, index, width) => cut(row[index] ?? '', width, style))),
  ];
}

/** Takes what is too wide for the terminal from the columns that may shrink, never below their titles or eight characters. */
function fit(widths: number[], columns: readonly Column[], style: Style): void {
  if (style.width === undefined) return;
  let excess = GAP.length + widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - style.width;
  for (const [at, column] of columns.entries()) {
    const width = widths[at] ?? 0;
    if (excess <= 0 || column.shrink !== true) continue;
    const cutBy = Math.min(excess, Math.max(0, width - Math.max(8, shownLength(column.title))));
    widths[at] = width - cutBy;
    excess -= cutBy;
  }
}

/** Lines of `name  value` pairs, names aligned; pairs with an empty value are left out. */
export function pairs(entries: readonly (readonly [string, string])[], style: Style): string[] {
  const shown = entries.filter(([, value]) => value !== '');
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${GAP}${style.paint('dim', name.padEnd(width))}${GAP}${value}`);
}

/** Groups of lines with a blank line between them; empty groups leave no trace. */
export const sections = (groups: readonly (readonly string[])[]): string[] =>
  groups.filter((group) => group.length > 0).flatMap((group, at) => (at === 0 ? group : ['', ...group]));
