import type { BackupReport, RestorePlan, RestoreReport } from '@stillpoint/controller';
import { StillpointError, type TableLock } from '@stillpoint/shared/errors';
import type { PartManifest } from '@stillpoint/shared/manifest';
import { describe, expect, it } from 'vitest';
import { Captured, standingClock, user } from '../../fixture/command-line.ts';
import { backupPlan, partManifest, plannedNode, setManifest } from '../../fixture/samples.ts';
import { jsonRenderer } from '../json.ts';
import { plainProgress } from '../progress/plain.ts';
import { exitOf, type Result } from '../result.ts';
import type { Style } from '../style.ts';
import { errorText, resultText } from './index.ts';

const GIB = 1024 ** 3;
const style: Style = { paint: (_, text) => text, width: undefined, unicode: false };
const shown = (result: Result): string => resultText(result, style).join('\n');

const LOCKS: readonly TableLock[] = [
  {
    ...{ id: 50, table: 'shop.facts', process: 'DMLProc', pid: 7_879, session: '32', created: 'Fri Nov 20 12:35:28 2026' },
    ...{ state: 'LOADING', dbroots: [1, 2, 3], ageMs: 93_400 },
  },
  {
    ...{ id: 71, table: '', process: 'cpimport', pid: 2_993, session: '', created: 'Fri Nov 20 12:36:37 2026' },
    ...{ state: 'LOADING', dbroots: [2], ageMs: 7_000 },
  },
];

describe('table locks in the way', () => {
  it('are a table in the error, with what to do', () => {
    const error = new StillpointError('DRAIN_TIMEOUT', 'tables stay locked', { node: 'pm1', tableLocks: LOCKS });
    expect(errorText(error, false, style).join('\n')).toMatchInlineSnapshot(`
      "error DRAIN_TIMEOUT on pm1: tables stay locked
        lock  table       process    pid  session    seconds  state    dbroots
          50  shop.facts  DMLProc   7879  32            93.4  LOADING  1, 2, 3
          71  (unknown)   cpimport  2993  bulk load      7.0  LOADING  2
      hint: Let the named sessions commit and the named loads end. A lock whose process has died is yours to end: \`cleartablelock ID\`."
    `);
  });

  it('are told with every attempt, in text and in JSON', () => {
    const event = {
      ...{ type: 'retry' as const, attempt: 1, attempts: 5, waitMs: 5_000, node: 'pm1', message: 'tables stay locked' },
      ...{ blockers: [], tableLocks: LOCKS.slice(0, 1) },
    } as const;
    const [text, json] = [new Captured(), new Captured()];
    plainProgress(text, 'warn', style, standingClock()).event(event);
    expect(text.text).toContain('shop.facts  DMLProc  7879  32');
    jsonRenderer(json, standingClock()).event(event);
    expect(JSON.parse(json.text)).toMatchObject({
      type: 'retry' as const,
      tableLocks: [{ id: 50, table: 'shop.facts', pid: 7_879, ageMs: 93_400 }],
    });
  });

  it('cannot speak to the terminal', () => {
    const error = new StillpointError('DRAIN_TIMEOUT', 'x', {
      tableLocks: LOCKS.slice(0, 1).map((lock) => ({ ...lock, table: 'a\u001b[2Jb\nc' })),
    });
    expect(errorText(error, false, style).join('\n')).toContain('ab c');
  });
});

it('a warning of a running operation is told as one', () => {
  const text = new Captured();
  plainProgress(text, 'warn', style, standingClock()).event({
    type: 'warning',
    node: 'pm1',
    message: 'still locked',
    hint: 'Restart DMLProc.',
  });
  expect(text.text).toMatch(/warning: pm1: still locked\n.* {2}hint: Restart DMLProc\.\n$/);
});

describe('a backup', () => {
  const plan = {
    ...backupPlan(),
    columnstore: { version: '6.4.12', configRevision: 7, primary: 'db1', driver: 'dbrmctl' },
    nodes: backupPlan().nodes.map((node, at) => ({
      ...node,
      dbroots: [{ number: 2 - at, path: `/var/lib/columnstore/data${2 - at}`, bytes: GIB }],
    })),
    warnings: ['db2: /backup has 5 bytes free'],
  };

  it('is planned with the dbroots of every node, and what suspends the engine', () => {
    const lines = shown({ type: 'backup-plan', plan }).split('\n');
    expect(lines.slice(5, 10)).toMatchInlineSnapshot(`
      [
        "",
        "ColumnStore 6.4.12 is set read-only by dbrmctl on db1; ConfigRevision 7 must stay as it is.",
        "  dbroot  node      data  path",
        "       1  db2   1.00 GiB  /var/lib/columnstore/data1",
        "       2  db1   1.00 GiB  /var/lib/columnstore/data2",
      ]
    `);
    expect(lines.at(-1)).toBe('warning: db2: /backup has 5 bytes free');
  });

  const report = (engine: BackupReport['engine']): Result => {
    const set = setManifest(1);
    const members = set.members.map((member, at) => ({ ...member, dbroots: [at + 1] }));
    const columnstore = { version: '6.4.12', generation: '5' as const, configRevision: 7, primary: 'db1' };
    return { type: 'backup', report: { operationId: set.operationId, set: { ...set, members, columnstore }, elapsedMs: 1_000, engine } };
  };

  it('tells which dbroots are where, and how soon the engine took writes again', () => {
    const good = report([
      { node: 'db1', ms: 321, stuckLocks: [] },
      { node: 'db2', stuckLocks: [] },
    ]);
    expect(exitOf(good)).toBe('OK');
    expect(shown(good)).toContain('columnstore     6.4.12, ConfigRevision 7, primary db1');
    expect(shown(good)).toMatch(/db2 .* 411 ms +2 +255/);
    expect(shown(good)).toMatch(/ColumnStore was read-write again within 321 ms\.$/);
  });

  it('whose engine left tables locked is good, and names them', () => {
    const stuck = report([{ node: 'db1', ms: 321, stuckLocks: ['shop.facts is still locked: restart DMLProc'] }]);
    expect(exitOf(stuck)).toBe('OK');
    expect(shown(stuck)).toMatch(/\nwarning: db1: shop\.facts is still locked: restart DMLProc$/);
  });

  it('whose engine did not come back is good, but does not end well', () => {
    const failure = new StillpointError('RESUME_FAILED', 'DBRM is currently Read Only!', { node: 'db1' });
    const bad = report([{ node: 'db1', stuckLocks: [], failure }]);
    expect(exitOf(bad)).toBe('BACKUP_FAILED');
    expect(shown(bad).split('\n').slice(-3)).toMatchInlineSnapshot(`
      [
        "RESUME_FAILED on db1: DBRM is currently Read Only!",
        "Writes to ColumnStore may fail until that is seen to. The set is good: it was proven before.",
        "hint: Look at \`dbrmctl status\` on the primary. When controllernode was restarted: restart DMLProc, and ExeMgr or PrimProc, too.",
      ]
    `);
    const json = new Captured();
    jsonRenderer(json, standingClock()).result(bad);
    expect(JSON.parse(json.text).engine).toMatchObject([{ node: 'db1', resumeMs: null, failure: { code: 'RESUME_FAILED' } }]);
  });

  it('is shown with what a part holds of the engine', () => {
    const part: PartManifest = {
      ...partManifest('db1', 's'),
      shards: [
        { name: 'dbroot1.base.0.tar.zst', content: 'dbroot', encoding: 'tar+zstd', storedBytes: GIB / 2, sha256: 'a'.repeat(64) },
        { name: 'dbroot1.files.jsonl.zst', content: 'dbroot-files', encoding: 'jsonl+zstd', storedBytes: 0, sha256: 'b'.repeat(64) },
      ],
      columnstore: {
        ...{
          version: '6.4.12',
          generation: '5',
          configFile: '/etc/columnstore/Columnstore.xml',
          configRevision: 7,
          module: 1,
          primary: true,
        },
        ...{ dbrmRoot: '/d/BRM_saves', brmCurrent: 'BRM_saves', owner: 'mysql:mysql' },
        dbroots: [
          {
            ...{ number: 1, path: '/var/lib/columnstore/data1', files: 812, directories: 40, dataBytes: GIB },
            ...{ shards: ['dbroot1.base.0.tar.zst'], list: 'dbroot1.files.jsonl.zst' },
          },
        ],
      },
    };
    const lines = shown({ type: 'set-detail', detail: { set: setManifest(1), isProtected: false, parts: [{ node: 'db1', part }] } }).split(
      '\n',
    );
    const at = lines.findIndex((line) => line.includes('  columnstore'));
    expect(lines.slice(at, at + 5)).toMatchInlineSnapshot(`
      [
        "  columnstore  6.4.12, module pm1, the primary, /etc/columnstore/Columnstore.xml",
        "  saved map    BRM_saves",
        "",
        "  dbroot  files      data   stored  path",
        "       1    812  1.00 GiB  512 MiB  /var/lib/columnstore/data1",
      ]
    `);
  });
});

describe('a restore', () => {
  const dbroot = { storedBytes: GIB, dataBytes: GIB, needBytes: GIB, freeBytes: 9 * GIB, replacesBytes: GIB, partSha256: 'a'.repeat(64) };
  const plan: RestorePlan = {
    ...{ id: 'plan-1', cluster: 'shop', setId: 'set-1', cutAt: '2026-11-21T09:15:01.120Z', createdAt: '2026-11-21T10:00:00.000Z' },
    ...{ replicas: 'auto', replication: 'print', leaveReplicas: false, problems: [], warnings: [] },
    columnstore: { version: '6.4.12', generation: '5', configRevision: 7, primary: 'db1' },
    nodes: [
      {
        ...plannedNode('db1', false),
        dbroots: [
          { ...dbroot, number: 1, path: '/var/lib/columnstore/data1', from: 'db1' },
          { ...dbroot, number: 2, path: '/var/lib/columnstore/data2', from: 'db2', freeBytes: 5 },
          { ...dbroot, number: 9, path: '/var/lib/columnstore/data9', from: '', dataBytes: 0, needBytes: 0 },
        ],
        engine: { module: 1, primary: true, version: '6.4.12', running: ['PrimProc'] },
      },
      {
        ...plannedNode('pm2', false),
        image: '',
        datadir: '',
        setVersion: '',
        installedVersion: '',
        replicateFrom: undefined,
        gtidPosition: '',
      },
    ],
  };

  it('is planned dbroot by dbroot, with where its image lies and where it goes', () => {
    const lines = shown({ type: 'restore-plan', plan, next: 'stillpoint restore run plan-1 --stop-servers' }).split('\n');
    expect(lines.slice(5, 18)).toMatchInlineSnapshot(`
      [
        "  columnstore    of version 6.4.12, onto 6.4.12; 3 dbroots",
        "",
        "  node  roles         image          stored  version of set    installed         from position",
        "  db1   sql, primary  its own part  541 MiB  10.11.19-MariaDB  10.11.19-MariaDB  0-1-840",
        "  pm2   sql           no server",
        "",
        "  node  into               needs      free  kept aside  server now  engine now",
        "  db1   /var/lib/mysql  1.50 GiB  60.0 GiB    1.25 GiB  running     running",
        "  pm2",
        "",
        "  dbroot  image          onto     needs      free  kept aside  into",
        "       1  part of db1    db1   1.00 GiB  9.00 GiB    1.00 GiB  /var/lib/columnstore/data1",
        "       2  part of db2    db1   1.00 GiB       5 B    1.00 GiB  /var/lib/columnstore/data2",
      ]
    `);
  });

  it('of an engine that runs alone asks for leave to stop it', async () => {
    const { json } = user({ engineAlone: true });
    await json('backup', 'create');
    const { lines } = await json('restore', 'plan', 'latest');
    expect(lines.at(-1)).toMatchObject({
      next: 'stillpoint restore run plan-1 --stop-servers',
      nodes: [{ engine: { module: 1, primary: true, version: '6.4.12', running: ['PrimProc'] } }, {}],
    });
  });

  it('tells how many tables were read whole, and what is locked', () => {
    const report: RestoreReport = {
      ...{ operationId: 'restore-1', setId: 'set-1', state: 'switched', elapsedMs: 1_000, leftOut: [], commands: [] },
      nodes: [
        {
          ...{
            node: 'db1',
            image: 'db1',
            bytes: GIB,
            tablesEqual: 3,
            tablesUnproven: [],
            kept: ['/kept'],
            freedBytes: 0,
            gtidPosition: '0-1-9',
          },
          ...{ dbroots: [1, 2], tablesRead: 5, locks: ['shop.facts is locked by cpimport (lock 7)'] },
        },
      ],
    };
    const text = shown({ type: 'restore', report, command: 'stillpoint' });
    expect(text).toMatch(/db1 +db1 +1\.00 GiB +3 +1, 2 +5 tables +0-1-9 +\/kept/);
    expect(text).toContain('warning: db1: shop.facts is locked by cpimport (lock 7)');
  });
});
