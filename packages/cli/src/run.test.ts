import { ERROR_TABLE, type ErrorCode, EXIT, StillpointError } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';
import { user } from './fixture/command-line.ts';

describe('the command line', () => {
  it.each(Object.keys(ERROR_TABLE) as ErrorCode[])('ends a command that fails with %s by the code of its row', async (code) => {
    const { json, controller } = user({ failure: new StillpointError(code, 'it did not work', { node: 'db2' }) });
    const { exitCode, lines } = await json('backup', 'create');
    expect(exitCode).toBe(EXIT[ERROR_TABLE[code].exit]);
    expect(lines.at(-1)).toMatchObject({
      type: 'error',
      code,
      exitCode,
      node: 'db2',
      message: 'it did not work',
      hint: ERROR_TABLE[code].hint,
    });
    expect(controller.closed()).toBe(true);
  });

  it('shows anything unforeseen as INTERNAL, with what a report needs', async () => {
    const unforeseen = new TypeError('x is not a function', { cause: new Error('the cause') });
    const { type } = user({ failure: unforeseen as StillpointError });
    const { exitCode, stdout, stderr } = await type('backup', 'create');
    expect({ exitCode, stdout }).toEqual({ exitCode: EXIT.INTERNAL, stdout: '' });
    expect(stderr).toContain('error INTERNAL: x is not a function\nhint: Report it');
    expect(stderr).toContain('Please report it');
    expect(stderr).toContain('run.test.ts');
    expect(stderr).toContain('caused by\nError: the cause');
  });

  it('names who was in the way of a lock', async () => {
    const blockers = [
      {
        connectionId: 7,
        user: 'app',
        host: '10.0.0.9',
        ageMs: 93_400,
        command: 'Query',
        statement: 'ALTER TABLE\u001b[2J a',
        lockMode: 'MDL_BACKUP_DDL',
      },
    ];
    const { type, json } = user({ failure: new StillpointError('LOCK_TIMEOUT', 'not granted within 5.00 s', { node: 'db1', blockers }) });
    expect((await type('backup', 'create', '--log-level', 'error')).stderr).toMatchInlineSnapshot(`
      "error LOCK_TIMEOUT on db1: not granted within 5.00 s
        id  user@host     seconds  lock            statement
         7  app@10.0.0.9     93.4  MDL_BACKUP_DDL  ALTER TABLE a
      hint: Look at the named sessions; try again when they are gone.
      "
    `);
    expect((await json('backup', 'create')).lines.at(-1)).toMatchObject({ code: 'LOCK_TIMEOUT', blockers });
  });

  it.each([
    [['backup', 'lst'], "unknown command 'lst'\n(Did you mean list?)", 'stillpoint backup --help'],
    [['bakcup'], "unknown command 'bakcup'\n(Did you mean backup?)", 'stillpoint --help'],
    [['backup', 'create', '--dryrun'], "unknown option '--dryrun'\n(Did you mean --dry-run?)", 'stillpoint backup create --help'],
    [['backup', 'create', '--lock-timeout', 'soon'], 'It is not a duration such as 250ms, 10s or 5m.', 'stillpoint backup create --help'],
    [
      ['backup', 'create', '--compression-level', '20'],
      'It is not a zstd level from 1 to 19, nor none.',
      'stillpoint backup create --help',
    ],
    [['backup', 'create', '--max-block', '0s'], 'It must be between 1 ms and 24 h 00 m.', 'stillpoint backup create --help'],
    [['backup', 'create', '--lock-timeout', '1d'], 'It must be between 1 ms and 10 m 00 s.', 'stillpoint backup create --help'],
    [['backup', 'create', '--include', 'orders'], 'It is not database.table', 'stillpoint backup create --help'],
    [['backup', 'show'], "missing required argument 'set'", 'stillpoint backup show --help'],
    [['backup', 'delete', 'latest', '--yes'], "latest is not accepted here: name the set's id", 'stillpoint backup list'],
    [['backup', 'show', 'a', 'b'], 'too many arguments', 'stillpoint backup show --help'],
    [['restore', 'plan', 'latest', '--replicas', 'mine'], 'Allowed choices are auto, own, primary.', 'stillpoint restore plan --help'],
    [['pki', 'issue', '--role', 'agent'], "required option '--name <name>' not specified", 'stillpoint pki issue --help'],
    [['--log-level', 'loud', 'version'], 'Allowed choices are error, warn, info, debug.', 'stillpoint --help'],
  ])('answers %j with a usage error', async (args, message, help) => {
    const { json, type } = user();
    const { exitCode, lines } = await json(...args);
    expect(exitCode).toBe(EXIT.USAGE);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ type: 'error', code: 'USAGE', exitCode: 2, hint: `See \`${help}\`.` });
    expect(lines[0]?.message).toContain(message);
    const text = await type(...args);
    expect(text).toMatchObject({ exitCode: EXIT.USAGE, stdout: '' });
    expect(text.stderr).toContain(message);
  });

  it('shows the help of a noun without a verb, as the error that it is', async () => {
    const { type, json } = user();
    const text = await type('backup');
    expect(text).toMatchObject({ exitCode: EXIT.USAGE, stdout: '' });
    expect(text.stderr).toContain('Usage: stillpoint backup');
    const { exitCode, lines, stderr } = await json('backup');
    expect({ exitCode, stderr }).toEqual({ exitCode: EXIT.USAGE, stderr: '' });
    expect(lines).toMatchObject([
      { type: 'error', message: 'stillpoint backup wants one of: create, list, show, verify, delete, prune, protect, unprotect' },
    ]);
  });

  it.each([
    ['backup', 'delete', '20261121-091501-3fa94c01'],
    ['backup', 'prune'],
    ['restore', 'rollback', 'restore-1'],
    ['restore', 'finish', 'restore-1'],
  ])('does nothing destructive without --yes: %s %s', async (...args) => {
    const { json, type } = user();
    await type('backup', 'create');
    const { exitCode, lines } = await json(...args);
    expect(exitCode).toBe(EXIT.USAGE);
    expect(lines).toMatchObject([{ type: 'error', code: 'CONFIRMATION_MISSING', hint: 'Say --yes.' }]);
    expect((await json('backup', 'list')).lines).toHaveLength(1);
  });

  it('hands the signal on, and ends as cancelled', async () => {
    const abort = new AbortController();
    const { json, ...cancelled } = user({ during: () => cancelled.abort.abort(new StillpointError('CANCELLED', 'cancelled by SIGINT')) });
    const { exitCode, lines } = await json('backup', 'create');
    expect(exitCode).toBe(EXIT.INTERRUPTED);
    expect(lines.at(-1)).toMatchObject({ type: 'error', code: 'CANCELLED', message: 'cancelled by SIGINT' });
    expect(cancelled.controller.closed()).toBe(true);
    expect(abort.signal.aborted).toBe(false);
  });
});

describe('answers that are bad news', () => {
  it.each([
    ['a node that is not fit', { unfit: 'db2' }, ['cluster', 'check'], EXIT.CHECK_FAILED],
    ['a node that cannot be checked', { unreachable: 'db2' }, ['cluster', 'check'], EXIT.UNREACHABLE],
    ['a node that does not answer', { unreachable: 'db1' }, ['cluster', 'show'], EXIT.UNREACHABLE],
    ['a damaged set', { damage: 'mariadb.full.mbstream.zst: 12 bytes are missing' }, ['backup', 'verify', 'latest'], EXIT.VERIFY_FAILED],
    ['a plan with a problem', { problem: 'too little space' }, ['restore', 'plan', 'latest'], EXIT.RESTORE_REFUSED],
  ])('are shown, and have an exit code: %s', async (_what, cluster, args, expected) => {
    const { type } = user(cluster);
    await type('backup', 'create');
    const { exitCode, stdout, stderr } = await type(...args);
    expect(exitCode).toBe(expected);
    expect(stdout).not.toBe('');
    expect(stderr).not.toContain('error');
  });
});

describe('backup create', () => {
  it('says to the controller what the command line says differently than the configuration', async () => {
    const { type, controller } = user();
    const options = ['--lock-timeout', '2s', '--lock-attempts', '3', '--max-block', '1.5m', '--compression-level', 'none'];
    const more = ['--throttle', '50MiB'];
    await type('backup', 'create', ...options, ...more, '--include', 'shop.*,crm.*', '--include', 'x.y');
    await type('backup', 'create', '--no-checksums', '--dry-run');
    expect(controller.requests).toEqual([
      {
        settings: {
          ...{ lockTimeout: 2_000, lockAttempts: 3, maxBlock: 90_000, compressionLevel: 'none', throttle: 50 * 1024 ** 2 },
          checksums: { enabled: true, include: ['shop.*', 'crm.*', 'x.y'], exclude: ['log.*'], connections: 4 },
        },
      },
      { settings: { checksums: { enabled: false, include: [], exclude: ['log.*'], connections: 4 } } },
    ]);
  });
});

describe('the restore plan', () => {
  it('names the command that carries it out, for this very command line', async () => {
    const { json, type } = user();
    await type('backup', 'create');
    const next = async (...args: string[]) => (await json('restore', 'plan', 'latest', ...args)).lines[0]?.next;
    expect(await next()).toBe('stillpoint restore run plan-1 --stop-servers');
    expect(await next('--node', 'db2')).toBe('stillpoint restore run plan-2');
    expect(await next('--node', 'db2', '--config', '/etc/my shop.yaml')).toBe("stillpoint --config '/etc/my shop.yaml' restore run plan-3");
    expect((await type('restore', 'run', 'plan-3')).exitCode).toBe(EXIT.OK);
    expect((await type('restore', 'run', 'plan-1')).exitCode).toBe(EXIT.RESTORE_REFUSED);
    expect((await type('restore', 'run', 'plan-9')).exitCode).toBe(EXIT.NOT_FOUND);
  });

  it('leads through run, rollback and finish', async () => {
    const { json } = user();
    await json('backup', 'create');
    const states: unknown[] = [];
    const say = async (...args: string[]) => {
      const { exitCode, lines } = await json('restore', ...args);
      states.push(exitCode === EXIT.OK ? lines.at(-1)?.state : lines.at(-1)?.code);
    };
    await json('restore', 'plan', 'latest');
    await say('run', 'plan-1');
    await say('run', 'plan-1', '--stop-servers');
    await say('rollback', 'restore-1', '--yes');
    await say('finish', 'restore-1', '--yes');
    await say('list');
    expect(states).toEqual(['SERVER_RUNNING', 'switched', 'rolled-back', 'NOTHING_TO_ROLL_BACK', 'rolled-back']);
  });
});
