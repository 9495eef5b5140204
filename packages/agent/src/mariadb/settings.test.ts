import { expect, test } from 'vitest';
import { parseHelp } from './settings.ts';

test('the table of values is read, the explanations above it are not', () => {
  const values = parseHelp(`mariadbd  Ver 10.11.19
  --datadir=name      Path to the database root directory
datadir is explained here

Variables (--variable-name=value)
and boolean options {FALSE|TRUE}                             Value (after reading options)
------------------------------------------------------------ -------------
datadir                                                      /var/lib/my sql/
log-bin                                                      (No default value)
server-id                                                    7
init-connect
`);
  expect(values.get('datadir')).toBe('/var/lib/my sql/');
  expect(values.get('log-bin')).toBe('');
  expect(values.get('server-id')).toBe('7');
  expect(values.get('init-connect')).toBe('');
});
