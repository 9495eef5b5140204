import { expect, test } from 'vitest';
import { globalPrivileges, grantsSql, NEEDED_PRIVILEGES } from './privileges.ts';

test('global privileges are read from SHOW GRANTS, whatever follows them', () => {
  const held = globalPrivileges([
    "GRANT RELOAD, PROCESS, BINLOG MONITOR ON *.* TO `u`@`localhost` IDENTIFIED BY PASSWORD '*462366917EEDD1970A48E87D8EF59EB67D2CA26F'",
    'GRANT SLAVE MONITOR ON *.* TO `role`',
  ]);
  expect([...held]).toEqual(['RELOAD', 'PROCESS', 'BINLOG MONITOR', 'SLAVE MONITOR']);
});

test('grants on a database, a table or a role are no global privileges', () => {
  expect([...globalPrivileges(['GRANT SELECT ON `d`.* TO `u`@`%`', 'GRANT `r` TO `u`@`%`', 'GRANT USAGE ON *.* TO `u`@`%`'])]).toEqual([
    'USAGE',
  ]);
});

test('privileges of other names are known', () => {
  expect(globalPrivileges(['GRANT REPLICATION CLIENT ON *.* TO `u`@`%`']).has('BINLOG MONITOR')).toBe(true);
});

test('the printed SQL grants every needed privilege and holds no password', () => {
  const sql = grantsSql({ user: "o'brien" });
  expect(sql[0]).toBe("CREATE USER IF NOT EXISTS 'o''brien'@'localhost' IDENTIFIED BY '<password>';");
  for (const { name } of NEEDED_PRIVILEGES) expect(sql).toContain(`GRANT ${name} ON *.* TO 'o''brien'@'localhost';`);
});

test('a socket account needs no password, and a backup needs no right to replicate', () => {
  const sql = grantsSql({ user: 'stillpoint', authentication: 'unix_socket', purposes: ['backup'] });
  expect(sql[0]).toContain('IDENTIFIED VIA unix_socket');
  expect(sql.join('\n')).not.toContain('REPLICATION SLAVE ADMIN');
});
