import { expect, test } from 'vitest';
import { statementHead } from './blockers.ts';

test('a statement is cut to one line of 120 characters', () => {
  expect(statementHead('UPDATE t\n   SET v = 1\tWHERE id = 2 ')).toBe('UPDATE t SET v = 1 WHERE id = 2');
  expect(statementHead(`SELECT '${'x'.repeat(500)}'`)).toHaveLength(120);
});

test.each([
  "CREATE USER u IDENTIFIED BY 'secret'",
  "GRANT ALL ON *.* TO u@localhost identified  by password 'secret'",
  "ALTER USER u IDENTIFIED VIA mysql_native_password USING PASSWORD('secret')",
  "SET PASSWORD FOR u = PASSWORD('secret')",
  "CHANGE MASTER TO MASTER_USER='u', MASTER_PASSWORD='secret', MASTER_PORT=1",
  "UPDATE accounts SET password = 'secret'",
])('what comes after a password is not shown: %s', (statement) => {
  expect(statementHead(statement)).not.toContain('secret');
  expect(statementHead(statement)).toMatch(/ \*\*\*$/);
});
