import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@stillpoint/shared/time';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { member, setOf } from '../../../../test/controller/builders.ts';
import { type Database, openDatabase } from '../journal/database.ts';
import { openJournal } from '../journal/journal.ts';
import { type Catalog, type FoundSet, openCatalog } from './catalog.ts';

let directory: string;
let db: Database;
let catalog: Catalog;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stillpoint-catalog-'));
  db = openDatabase(directory);
  catalog = openCatalog(db, 'shop', systemClock);
});
afterEach(() => {
  db.close();
  rmSync(directory, { recursive: true });
});

const setAt = (day: string) => ({
  ...setOf([member('db1'), member('db2', { blockedMs: 2_400 })], `202611${day}-091500-00000000`),
  cutAt: `2026-11-${day}T09:15:00.000Z`,
});
const good = (day: string): FoundSet => ({ setId: setAt(day).setId, state: 'good', reason: '', set: setAt(day), isProtected: false });
const ids = (all = false): string[] => catalog.list(all).map(({ setId }) => setId.slice(6, 8));

describe('a catalog', () => {
  it('lists good sets, newest first, with what a list shows', () => {
    for (const day of ['19', '21', '20']) catalog.add(setAt(day));
    expect(ids()).toEqual(['21', '20', '19']);
    expect(catalog.list(false)[0]).toMatchObject({
      state: 'good',
      nodes: ['db1', 'db2'],
      storedBytes: 4 * 1024 ** 3,
      dataBytes: 10 * 1024 ** 3,
      blockedMs: 2_400,
      reason: '',
    });
  });

  it('gives the manifest of a good set, by its id or as the latest', () => {
    catalog.add(setAt('19'));
    catalog.add(setAt('20'));
    expect(catalog.restorable(setAt('19').setId)).toEqual(setAt('19'));
    expect(catalog.restorable('latest')).toEqual(setAt('20'));
  });

  it('does not give a set that is not good, and says why', () => {
    catalog.add(setAt('19'));
    catalog.add(setAt('20'));
    catalog.beginDeletion(setAt('20').setId, 'its deletion was begun');
    expect(ids()).toEqual(['19']);
    expect(ids(true)).toEqual(['20', '19']);
    expect(catalog.restorable('latest')).toEqual(setAt('19'));
    expect(() => catalog.restorable(setAt('20').setId)).toThrow(
      expect.objectContaining({ code: 'SET_NOT_FOUND', message: expect.stringContaining('its deletion was begun') }),
    );
    expect(() => catalog.restorable('20200101-000000-00000000')).toThrow(expect.objectContaining({ code: 'SET_NOT_FOUND' }));
  });

  it('lists backups that came to nothing only when asked for, with the reason', () => {
    const journal = openJournal(db, 'shop', systemClock);
    const { id } = journal.begin({ kind: 'backup', setId: '20261122-080000-00000000', nodes: ['db1'] });
    journal.end(id, 'failed', 'LOCK_TIMEOUT: db1 did not give the lock');
    catalog.add(setAt('21'));
    expect(ids()).toEqual(['21']);
    expect(catalog.list(true)[0]).toMatchObject({
      setId: '20261122-080000-00000000',
      state: 'failed',
      reason: 'LOCK_TIMEOUT: db1 did not give the lock',
    });
  });

  it('keeps clusters apart that share a state directory', () => {
    catalog.add(setAt('21'));
    expect(openCatalog(db, 'other', systemClock).list(true)).toEqual([]);
  });
});

describe('what a scan found replaces what was known', () => {
  it('drops what is gone, adds what is new, keeps what it is told to keep', () => {
    for (const day of ['18', '19', '20']) catalog.add(setAt(day));
    catalog.replace([good('20'), good('21')], catalog.generation(), ({ setId }) => setId === setAt('18').setId);
    expect(ids()).toEqual(['21', '20', '18']);
  });

  it('believes what changed after the scan had begun: a set that was added, spoiled or removed', () => {
    for (const day of ['19', '20']) catalog.add(setAt(day));
    const since = catalog.generation();
    catalog.add(setAt('21'));
    catalog.beginDeletion(setAt('20').setId, 'its deletion was begun');
    catalog.beginDeletion(setAt('19').setId, 'its deletion was begun');
    catalog.remove(setAt('19').setId);
    const unfinished: FoundSet = {
      setId: setAt('21').setId,
      state: 'failed',
      reason: 'set.json is missing on db2',
      set: undefined,
      isProtected: false,
    };
    catalog.replace([unfinished, good('20'), good('19')], since, () => false);
    expect(ids()).toEqual(['21']);
    expect(ids(true)).toEqual(['21', '20']);
    // Found again by a later one, it is there.
    catalog.replace([good('21'), good('19')], catalog.generation(), () => false);
    expect(ids(true)).toEqual(['21', '19']);
  });

  it('takes no set for good whose deletion was begun, however often and wherever it is found, until nothing of it is left', () => {
    catalog.add(setAt('20'));
    catalog.beginDeletion(setAt('20').setId, 'its deletion was begun');
    catalog.replace([], catalog.generation(), () => false);
    catalog.replace([good('20')], catalog.generation(), () => false);
    catalog.add(setAt('20'));
    expect(ids()).toEqual([]);
    expect(catalog.list(true)).toMatchObject([{ state: 'failed', reason: 'its deletion was begun' }]);
    expect(catalog.deletions()).toEqual([{ setId: setAt('20').setId, reason: 'its deletion was begun' }]);
    catalog.remove(setAt('20').setId);
    expect(catalog.deletions()).toEqual([]);
    catalog.replace([good('20')], catalog.generation(), () => false);
    expect(ids()).toEqual(['20']);
  });

  it('carries the mark of a protected set', () => {
    for (const day of ['20', '21']) catalog.add(setAt(day));
    catalog.setProtected(setAt('20').setId, true);
    expect(catalog.list(false).map(({ isProtected }) => isProtected)).toEqual([false, true]);
    catalog.replace([good('20'), { ...good('21'), isProtected: true }], catalog.generation(), () => false);
    expect(catalog.list(false).map(({ isProtected }) => isProtected)).toEqual([true, false]);
  });

  it('does not heed the clock', () => {
    const ahead = { ...systemClock, now: () => new Date(Date.now() + 3_600_000) };
    openCatalog(db, 'shop', ahead).add(setAt('21'));
    catalog.replace([], catalog.generation(), () => false);
    expect(ids(true)).toEqual([]);
  });

  it('lists a set that is no longer whole as such, gives it by its id, and as the latest only when there is no good one', () => {
    for (const day of ['20', '21']) catalog.add(setAt(day));
    const lost: FoundSet = { ...good('21'), state: 'incomplete', reason: 'set.json is missing on db2' };
    catalog.replace([good('20'), lost], catalog.generation(), () => false);
    expect(catalog.list(false)).toMatchObject([
      { state: 'incomplete', reason: 'set.json is missing on db2', nodes: ['db1', 'db2'] },
      { state: 'good' },
    ]);
    expect(catalog.restorable(setAt('21').setId)).toEqual(setAt('21'));
    expect(catalog.restorable('latest')).toEqual(setAt('20'));
    catalog.remove(setAt('20').setId);
    expect(catalog.restorable('latest')).toEqual(setAt('21'));
  });
});
