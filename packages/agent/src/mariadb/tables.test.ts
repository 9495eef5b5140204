import { expect, test } from 'vitest';
import { isSelected, quoteTable } from './tables.ts';

const selected = (include: string[], exclude: string[], name: [string, string]): boolean => isSelected({ include, exclude }, ...name);

test('without patterns every table is selected but the server’s own', () => {
  expect(selected([], [], ['shop', 'orders'])).toBe(true);
  for (const database of ['mysql', 'sys', 'information_schema', 'performance_schema'])
    expect(selected([], [], [database, 't'])).toBe(false);
});

test('* and ? are wildcards, everything else stands for itself', () => {
  expect(selected(['shop.ord*'], [], ['shop', 'orders'])).toBe(true);
  expect(selected(['shop.order?'], [], ['shop', 'orders'])).toBe(true);
  expect(selected(['shop.order?'], [], ['shop', 'order'])).toBe(false);
  expect(selected(['sh+p.t(1)'], [], ['sh+p', 't(1)'])).toBe(true);
  expect(selected(['shop.t'], [], ['shopxt', 't'])).toBe(false);
});

test('a pattern without a dot means the whole database', () => {
  expect(selected(['shop'], [], ['shop', 'orders'])).toBe(true);
  expect(selected(['shop'], [], ['shop2', 'orders'])).toBe(false);
});

test('excludes win', () => {
  expect(selected(['shop.*'], ['*.log'], ['shop', 'log'])).toBe(false);
  expect(selected([], ['tmp'], ['tmp', 'x'])).toBe(false);
});

test('an include can name a system database', () => {
  expect(selected(['mysql.global_priv'], [], ['mysql', 'global_priv'])).toBe(true);
});

test('names are quoted', () => {
  expect(quoteTable({ database: 'a`b', table: 'c.d' })).toBe('`a``b`.`c.d`');
});
