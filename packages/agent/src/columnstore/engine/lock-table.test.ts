import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EngineLock, loadLock, renderLockTable, sqlLock } from '../../../../../test/harness/lock-table.ts';
import { parseLockTable } from './lock-table.ts';
import { createdAt } from './table-locks.ts';

const ONE = ` There is 1 table lock

  Table     LockID  Process   PID   Session   Txn  CreationTime              State    DBRoots  
  shop.big  71      cpimport  2993  BulkLoad  n/a  Sun Nov  1 12:36:37 2026  LOADING  1,2,3    
`;

const lockArbitrary: fc.Arbitrary<EngineLock> = fc.record({
  id: fc.nat(),
  table: fc.oneof(
    fc.constant(''),
    fc.stringMatching(/^[a-z_]{1,20}\.[A-Za-z0-9_]{1,64}$/),
    fc.constantFrom('shop.two words', 'lager.Größe', 'a.表', 'x.LockID  Process', 'a.DBRoots'),
  ),
  process: fc.constantFrom('DMLProc', 'DMLProc batchinsert', 'DDLProc', 'cpimport', 'WriteEngineServer', 'clearTableLock'),
  pid: fc.nat({ max: 4_194_304 }),
  session: fc.oneof(fc.constant(-1), fc.nat()),
  transaction: fc.oneof(fc.constant(-1), fc.nat()),
  created: fc.date({ min: new Date('2012-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }).map((date) => {
    date.setMilliseconds(0);
    return date;
  }),
  state: fc.constantFrom('LOADING', 'CLEANUP'),
  dbroots: fc.array(fc.integer({ min: 1, max: 99 }), { maxLength: 12 }),
});

const onTheClock = (date: Date | undefined): string => String(date).slice(0, 24);

describe('the list of table locks', () => {
  test('is empty only by its exact text', () => {
    expect(parseLockTable(' No tables are locked in the database.\n')).toEqual({ kind: 'empty' });
    for (const other of [
      '',
      '\n',
      'No tables are locked in the database.\n',
      ' No tables are locked in the database.',
      ' There are 0 table locks\n\n',
    ]) {
      expect(parseLockTable(other)).toEqual({ kind: 'unclear', text: other });
    }
  });

  test('has a row as it is printed', () => {
    expect(parseLockTable(ONE)).toEqual({
      kind: 'locked',
      rows: [
        {
          id: 71,
          table: 'shop.big',
          process: 'cpimport',
          pid: 2993,
          session: '',
          created: 'Sun Nov  1 12:36:37 2026',
          state: 'LOADING',
          dbroots: [1, 2, 3],
        },
      ],
    });
    expect(renderLockTable([loadLock({ table: 'shop.big', created: new Date('2026-11-01T12:36:37') })])).toBe(ONE);
  });

  test.each([
    ['says one and has two', `${ONE}${ONE.split('\n')[3]}\n`],
    ['says two and has one', ONE.replace('is 1 table lock', 'are 2 table locks')],
    ['is one, said like many', ONE.replace('is 1 table lock', 'are 1 table locks')],
    ['has no header', ONE.replace(/ {2}Table.*\n/, '')],
    ['has another column', ONE.replace('Txn  ', 'Txn  New  ')],
    ['has a row cut short', ONE.slice(0, -20)],
    ['has a lock without an id', ONE.replace('71  ', '    ')],
    ['has a time that is none', ONE.replace('12:36:37', '12:36   ')],
    ['has noise before it', `exception in DBRM\n${ONE}`],
    ['has noise after it', `${ONE}exception in DBRM\n`],
    ['has no blank line', ONE.replace('\n\n', '\n')],
  ])('that %s is not understood, and not empty', (_, text) => expect(parseLockTable(text)).toEqual({ kind: 'unclear', text }));

  test('is read back as it was printed', () => {
    fc.assert(
      fc.property(fc.array(lockArbitrary, { minLength: 1, maxLength: 8 }), (locks) => {
        const table = parseLockTable(renderLockTable(locks));
        expect(table).toMatchObject({
          kind: 'locked',
          rows: locks.map(({ id, table: name, process, pid, session, state, dbroots }) => ({
            id,
            table: name,
            process,
            pid,
            session: session < 0 ? '' : String(session),
            state,
            dbroots,
          })),
        });
        // On a clock: when that is set back, an hour comes twice.
        const times = table.kind === 'locked' ? table.rows.map(({ created }) => onTheClock(createdAt(created))) : [];
        expect(times).toEqual(locks.map(({ created }) => onTheClock(created)));
      }),
    );
  });

  test('is never taken for empty when a piece of it is missing', () => {
    const text = renderLockTable([sqlLock(), loadLock()]);
    fc.assert(
      fc.property(fc.nat({ max: text.length }), fc.nat({ max: text.length }), (from, to) => {
        expect(parseLockTable(text.slice(0, Math.min(from, to)) + text.slice(Math.max(from, to))).kind).not.toBe('empty');
      }),
    );
  });
});
