import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from './database.ts';
import { openJournal } from './journal.ts';
import { lifeOf, thisProcess } from './owner.ts';
import { stepsOf } from './steps.ts';

let directory: string;
let db: Database | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stillpoint-journal-'));
});
afterEach(() => {
  db?.close();
  db = undefined;
  rmSync(directory, { recursive: true, force: true });
});

const open = (): Database => {
  db?.close();
  db = openDatabase(directory);
  return db;
};
const journal = (cluster = 'shop') => openJournal(db ?? open(), cluster, systemClock);

/** A controller that has begun a backup and was then killed. */
async function killedController(): Promise<string> {
  const program = `
    import { openDatabase } from '${import.meta.dirname}/database.ts';
    import { openJournal } from '${import.meta.dirname}/journal.ts';
    import { systemClock } from '@stillpoint/shared/time';
    const { id } = openJournal(openDatabase(process.argv[1]), 'shop', systemClock).begin({ kind: 'backup', setId: 's1' });
    console.log(id);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-C', 'source', '--input-type=module', '-e', program, directory], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const id = line.toString().trim();
  expect(() => journal().begin({ kind: 'verify' })).toThrow(
    expect.objectContaining({ code: 'OPERATION_RUNNING', message: expect.stringContaining(`pid ${child.pid}`) }),
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  return id;
}

describe('an operation', () => {
  it('runs from begin to end, and is found again by another process', () => {
    const { id } = journal().begin({ kind: 'backup', setId: 's1', nodes: ['db1', 'db2'] });
    expect(journal().get(id)).toMatchObject({ id, kind: 'backup', state: 'running', setId: 's1', nodes: ['db1', 'db2'], endedAt: '' });
    journal().end(id, 'failed', 'LOCK_TIMEOUT: no');
    open();
    expect(journal().get(id)).toMatchObject({ state: 'failed', reason: 'LOCK_TIMEOUT: no', commitOpen: false });
    expect(
      journal()
        .list('backup')
        .map((operation) => operation.id),
    ).toEqual([id]);
    expect(journal().list('restore')).toEqual([]);
  });

  it('is the only one of its cluster, and the other one is named', () => {
    const { id } = journal().begin({ kind: 'backup' });
    expect(() => journal().begin({ kind: 'delete' })).toThrow(
      expect.objectContaining({
        code: 'OPERATION_RUNNING',
        message: expect.stringMatching(new RegExp(`${id} is running .*pid ${process.pid}`)),
      }),
    );
    journal('other').begin({ kind: 'backup' });
    journal().end(id, 'succeeded');
    journal().begin({ kind: 'delete' });
  });

  it('is interrupted once its controller was killed, and blocks nobody any more', async () => {
    const id = await killedController();
    journal().settleDead();
    expect(journal().get(id)).toMatchObject({ state: 'interrupted', reason: expect.stringContaining('ended in the middle of it') });
    journal().begin({ kind: 'backup' });
  });

  it('that was interrupted can be owned again', async () => {
    const id = await killedController();
    expect(journal().reopen(id)).toMatchObject({ id, state: 'running', reason: '' });
    expect(() => journal().begin({ kind: 'backup' })).toThrow(expect.objectContaining({ code: 'OPERATION_RUNNING' }));
  });

  it('that nobody knows is not found', () => {
    expect(() => journal().get('restore-1')).toThrow(expect.objectContaining({ code: 'OPERATION_NOT_FOUND' }));
    expect(() => journal().reopen('restore-1')).toThrow(expect.objectContaining({ code: 'OPERATION_NOT_FOUND' }));
  });
});

describe('an owner', () => {
  it('is not taken for a later process with the same number', () => {
    expect(lifeOf(thisProcess())).toBe('alive');
    expect(lifeOf({ ...thisProcess(), birth: '1' })).toBe('dead');
    expect(lifeOf({ ...thisProcess(), boot: 'before' })).toBe('dead');
  });

  it.each([
    ['on another host', { host: 'other' }],
    ['on another machine of the same name', { machine: 'other', boot: 'other' }],
    ['in another container', { pidNamespace: 'pid:[1]' }],
  ])('%s is not declared dead from here, but by its user', (_, changes) => {
    const { id } = journal().begin({ kind: 'backup' });
    const owner = JSON.stringify({ ...thisProcess(), pid: 2 ** 22 + 1, ...changes });
    db?.run('UPDATE operations SET owner = $owner', { owner });
    journal().settleDead();
    expect(journal().get(id).state).toBe('running');
    expect(() => journal().begin({ kind: 'verify' })).toThrow(
      expect.objectContaining({ code: 'OPERATION_RUNNING', hint: expect.stringContaining('--take-over') }),
    );
    const taking = openJournal(db ?? open(), 'shop', systemClock, true);
    taking.begin({ kind: 'verify' });
    expect(taking.get(id)).toMatchObject({ state: 'interrupted', reason: expect.stringContaining('declared dead') });
    // This process is there to be seen, so nobody can take over from it.
    expect(() => taking.begin({ kind: 'verify' })).toThrow(expect.objectContaining({ code: 'OPERATION_RUNNING' }));
  });
});

describe('steps', () => {
  it('keep their latest attempt, its state and result', () => {
    const { id } = journal().begin({ kind: 'restore' });
    const steps = stepsOf(db ?? open(), id, systemClock);
    steps.started('stage', 'db1', 1);
    expect(steps.get('stage', 'db1')).toMatchObject({ attempt: 1, state: 'started' });
    steps.failed('stage', 'db1', 'STAGE_FAILED');
    steps.started('stage', 'db1', 2);
    steps.succeeded('stage', 'db1', '{"stage":{}}');
    expect(steps.get('stage', 'db1')).toEqual({ step: 'stage', node: 'db1', attempt: 2, state: 'succeeded', result: '{"stage":{}}' });
    expect(steps.get('stage', 'db2')).toBeUndefined();
    expect(steps.all()).toHaveLength(1);
  });
});

describe('a database', () => {
  it('that is broken is named, with the way out', () => {
    const path = join(directory, 'stillpoint.db');
    writeFileSync(path, 'this is no database, but it is long enough to be looked at closely');
    expect(open).toThrow(
      expect.objectContaining({
        code: 'CATALOG_UNUSABLE',
        message: expect.stringContaining(path),
        hint: expect.stringContaining('--rescan'),
      }),
    );
  });

  it('of a newer version is left alone', () => {
    open().close();
    db = undefined;
    const raw = new DatabaseSync(join(directory, 'stillpoint.db'));
    raw.exec('PRAGMA user_version = 99');
    raw.close();
    expect(open).toThrow(expect.objectContaining({ code: 'CATALOG_UNUSABLE', message: expect.stringContaining('newer Stillpoint') }));
  });

  it('in a directory that cannot be made is named', () => {
    writeFileSync(join(directory, 'file'), '');
    expect(() => openDatabase(join(directory, 'file'))).toThrow(
      expect.objectContaining({ code: 'CATALOG_UNUSABLE', message: expect.stringContaining('file') }),
    );
  });

  it('takes back what a failed transaction wrote', () => {
    const { transaction } = open();
    const { id } = journal().begin({ kind: 'backup' });
    expect(() =>
      transaction(() => {
        journal().end(id, 'succeeded');
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(journal().get(id).state).toBe('running');
  });
});
