import { describe, expect, it } from 'vitest';
import { styleOf } from './style.ts';
import { cut, shownLength, table } from './table.ts';

const plain = styleOf({}, {}, true);
const terminal = (columns: number) => styleOf({ isTTY: true, columns }, { LANG: 'C.UTF-8' }, true);
const columns = [{ title: 'node' }, { title: 'data', align: 'right' }, { title: 'reason', shrink: true }] as const;

describe('table', () => {
  it('aligns columns and leaves out empty ones', () => {
    expect(
      table(
        columns,
        [
          ['db1', '1.25 GiB', ''],
          ['db22', '7 B', ''],
        ],
        plain,
      ),
    ).toEqual(['  node      data', '  db1   1.25 GiB', '  db22       7 B']);
  });

  it('is nothing without rows', () => {
    expect(table(columns, [], plain)).toEqual([]);
  });

  it('aligns coloured cells by what is seen of them', () => {
    const style = terminal(80);
    const lines = table(
      [{ title: 'state' }, { title: 'x' }],
      [
        [style.paint('green', 'good'), '1'],
        ['failed', '2'],
      ],
      style,
    );
    expect(lines.map((line) => shownLength(line))).toEqual([11, 11, 11]);
    expect(lines[1]).toContain('\u001b[32mgood');
  });

  it('cuts the column that may shrink to the width of the terminal, and no other', () => {
    const lines = table(columns, [['db1', '1.25 GiB', 'a long story about a lock that nobody gave away']], terminal(40));
    expect(Math.max(...lines.map((line) => shownLength(line)))).toBe(40);
    expect(lines[1]).toMatch(/db1 {3}1\.25 GiB {2}a long story about.*…$/);
  });

  it('cuts nothing where nobody looks at columns', () => {
    const story = 'a long story'.repeat(40);
    expect(table(columns, [['db1', '', story]], plain)[1]).toContain(story);
  });
});

describe('cut', () => {
  it('marks what it cut, in the characters that the locale has', () => {
    expect(cut('abcdefgh', 5, { unicode: true })).toBe('abcd…');
    expect(cut('abcdefgh', 5, { unicode: false })).toBe('ab...');
    expect(cut('abcdefgh', 2, { unicode: false })).toBe('..');
    expect(cut('abc', 3, { unicode: true })).toBe('abc');
  });
});

describe('style', () => {
  const painted = (env: NodeJS.ProcessEnv, isTTY: boolean, colour = true) => styleOf({ isTTY }, env, colour).paint('red', 'x') !== 'x';

  it('has colours on a terminal, unless somebody does not want them', () => {
    expect(painted({}, true)).toBe(true);
    expect(painted({}, false)).toBe(false);
    expect(painted({ NO_COLOR: '1' }, true)).toBe(false);
    expect(painted({ TERM: 'dumb' }, true)).toBe(false);
    expect(painted({}, true, false)).toBe(false);
  });
});
