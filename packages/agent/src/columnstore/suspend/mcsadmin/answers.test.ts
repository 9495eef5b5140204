import { describe, expect, test } from 'vitest';
import { parseSystemStatus, refusalOf } from './answers.ts';

const statusOf = (state: string): string => `
System columnstore-1

System and Module statuses

Component     Status                       Last Status Change
------------  --------------------------   ------------------------
System        ${state.padEnd(29)}Fri Nov 20 12:00:00 2026

Module pm1    ACTIVE                       Fri Nov 20 11:59:00 2026

Active Parent OAM Performance Module is 'pm1'
`;

describe('the status of the system', () => {
  test.each([
    ['ACTIVE ', 'read-write', true],
    ['ACTIVE WRITE SUSPENDED', 'read-only', false],
    ['ACTIVE WRITE SUSPEND PENDING', 'unknown', false],
    ['ACTIVE SHUTDOWN PENDING', 'unknown', false],
    ['MAN_OFFLINE ', 'read-write', false],
    ['BUSY_INIT WRITE SUSPENDED', 'read-only', false],
  ] as const)('%s', (state, mode, ready) => expect(parseSystemStatus(statusOf(state))).toEqual({ mode, ready, text: state.trim() }));

  test.each([
    ['nothing', ''],
    ['a failure', '**** printSystemStatus Failed =  Connection refused'],
    ['a module that is suspended', statusOf('ACTIVE').replace(/System {8}.*\n/, '')],
    ['a state in unknown words', statusOf('ACTIVE WRITES SUSPENDED')],
    ['no table', 'System        ACTIVE'],
  ])('is not known from %s', (_, text) => expect(parseSystemStatus(text)).toMatchObject({ mode: 'unknown', ready: false }));

  test('is that of the row, not of a system with such a name', () => {
    const text = statusOf('ACTIVE').replace('System columnstore-1', 'System        ACTIVE WRITE SUSPENDED');
    expect(parseSystemStatus(text)).toMatchObject({ mode: 'read-write' });
  });
});

const SUSPENDS = '\nThis command suspends the DDL/DML writes to the MariaDB ColumnStore Database\n';

describe('a request', () => {
  test.each([
    [
      'suspend',
      `${SUSPENDS}\n   Waiting for all transactions to complete...\nSuspend MariaDB Columnstore Database Writes Request successfully completed\n`,
    ],
    ['suspend', `${SUSPENDS}\nSuspend Calpont Database Writes Request successfully completed\n`],
    ['resume', '\nResume MariaDB ColumnStore Database Writes Request successfully completed\n'],
    ['stop', '\n   Checking for active transactions\n\n   Successful stop of System \n\n'],
    ['stop', '\n   Successful shutdown of System \n\n'],
  ] as const)('was carried out: %s', (request, stdout) => expect(refusalOf(request, stdout)).toBeUndefined());

  test.each([
    ['suspend', `${SUSPENDS}\n**** stopDatabaseWrites Failed: save_brm Failed\n`, 'stopDatabaseWrites Failed: save_brm Failed'],
    ['suspend', `${SUSPENDS}\n   Suspension of database writes canceled\n`, 'canceled'],
    [
      'suspend',
      `${SUSPENDS}\n   The Controller Node is not responding.\n   The system can't be set into write suspend mode\n`,
      'not responding',
    ],
    ['suspend', SUSPENDS, 'suspends the DDL/DML'],
    ['suspend', '', 'nothing'],
    ['suspend', 'Resume MariaDB ColumnStore Database Writes Request successfully completed', 'Resume'],
    ['resume', '\n**** resumeDatabaseWrites Failed: Connection refused\n', 'Connection refused'],
    ['stop', '\n   Successful shutdown of System (stopped local columnstore service) \n', 'stopped local'],
    ['stop', '\n**** stopSystem Failed : check log files\n', 'check log files'],
  ] as const)('was refused: %s %j', (request, stdout, words) => expect(refusalOf(request, stdout)).toContain(words));

  test.each(['What would you like to do: [Cancel]: ', '           Do you want to proceed: (y or n) [n]: '])(
    'that asked %j was refused, whatever else was said',
    (prompt) => {
      const done = 'Suspend MariaDB Columnstore Database Writes Request successfully completed';
      expect(refusalOf('suspend', `${SUSPENDS}Your options are:\n${prompt}\n${done}\n`)).toContain(`it asked "${prompt.trim()}"`);
    },
  );
});
