import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OperationEvent } from '@stillpoint/controller';
import { StillpointError } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';
import { Captured, standingClock, user } from '../fixture/command-line.ts';
import { encodeLine, jsonRenderer } from './json.ts';
import type { JsonLine } from './json-lines.ts';
import type { Renderer } from './renderer.ts';

const REFERENCE = join(import.meta.dirname, '../../../../docs/reference/json.md');

/** Fields of every type as the reference page has them; true for those that are always there. */
function documented(): Map<string, Map<string, boolean>> {
  const pages = readFileSync(REFERENCE, 'utf8').split(/^### /m).slice(1);
  return new Map(
    pages.map((page) => {
      const rows = [...page.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)];
      return [page.slice(0, page.indexOf('\n')), new Map(rows.map(([, field = '', text = '']) => [field, !text.endsWith('; optional')]))];
    }),
  );
}

/** Lines of a renderer. */
function rendered(use: (renderer: Renderer) => void): JsonLine[] {
  const stdout = new Captured();
  use(jsonRenderer(stdout, standingClock()));
  return stdout.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as JsonLine);
}

const events: readonly OperationEvent[] = [
  { type: 'operation', operationId: 'backup-1', kind: 'backup', setId: 'set-1' },
  { type: 'phase', phase: 'capture' },
  { type: 'step', node: 'db1', step: 'capture', state: 'failed', ms: 12, message: 'why' },
  { type: 'progress', node: 'db1', step: 'capture', bytesDone: 1, bytesTotal: 2 },
  { type: 'log', node: 'db1', message: 'a sentence' },
  { type: 'retry', attempt: 1, attempts: 5, waitMs: 5_000, node: 'db2', message: 'not granted', blockers: [], tableLocks: [] },
  { type: 'warning', node: 'pm1', message: 'a table stayed locked', hint: 'restart DMLProc' },
  { type: 'phase-ended', phase: 'capture', ms: 12 },
];

/** Every type of line that the program can write. */
async function everyLine(): Promise<readonly JsonLine[]> {
  const { json } = user({ unreachable: 'db2', problem: 'too little space' });
  const commands = [
    ['cluster', 'show'],
    ['cluster', 'check'],
    ['backup', 'create', '--dry-run'],
    ['backup', 'create'],
    ['backup', 'list', '--all'],
    ['backup', 'show', 'latest'],
    ['backup', 'verify', 'latest'],
    ['backup', 'protect', 'latest'],
    ['backup', 'prune', '--dry-run'],
    ['repository', 'clean'],
    ['restore', 'plan', 'latest'],
    ['restore', 'run', 'plan-1', '--stop-servers'],
    ['restore', 'list'],
    ['backup', 'delete', '20261121-091501-3fa94c01', '--yes'],
    ['completion', 'bash'],
    ['version'],
    ['help'],
    ['backup', 'show', 'gone'],
  ];
  const lines: JsonLine[] = [];
  for (const command of commands) lines.push(...(await json(...command)).lines);
  const paths = { ca: '/p/ca.crt', cert: '/p/db1.crt', key: '/p/db1.key', expiresAt: '2036-11-21T00:00:00.000Z' };
  return [
    ...lines,
    ...rendered((renderer) => {
      events.forEach(renderer.event);
      renderer.notice('SIGINT');
      renderer.result({ type: 'agent', state: 'ready', cluster: 'shop', node: 'db1', address: '127.0.0.1:7443' });
      renderer.result({ type: 'grants', sql: ['CREATE USER a'] });
      renderer.result({ type: 'authority', cluster: 'shop', cert: paths.cert, key: paths.key, expiresAt: paths.expiresAt });
      renderer.result({ type: 'certificate', role: 'agent', cluster: 'shop', name: 'db1', ...paths });
      renderer.result({ type: 'findings', findings: [{ file: '/a.yaml', key: 'tls', status: 'ok', message: 'in order', hint: '' }] });
      renderer.error(new StillpointError('INTERNAL', 'a bug'), 1);
    }),
  ];
}

describe('JSON output', () => {
  it('writes the types and fields of the reference page, all of them and no others', async () => {
    const reference = documented();
    const lines = await everyLine();
    for (const { type, ...fields } of lines) {
      const known = reference.get(type);
      expect(known, `type ${type}`).toBeDefined();
      expect([...(known?.keys() ?? [])], `type ${type}`).toEqual(expect.arrayContaining(Object.keys(fields)));
      const required = [...(known ?? [])].filter(([, always]) => always).map(([field]) => field);
      expect(Object.keys(fields), `type ${type}`).toEqual(expect.arrayContaining(required));
    }
    expect(new Set(lines.map(({ type }) => type))).toEqual(new Set(reference.keys()));
  });

  it('is unharmed by numbers that a double does not hold', () => {
    const line = encodeLine({ type: 'x', small: 12n, large: 2n ** 60n + 1n, below: -(2n ** 60n), ms: 81.97673199 });
    expect(line).toBe('{"type":"x","small":12,"large":"1152921504606846977","below":"-1152921504606846976","ms":81.977}\n');
  });

  it('shows a node in words and plain numbers', async () => {
    const { lines } = await user().json('cluster', 'show');
    expect(lines[1]).toMatchInlineSnapshot(`
      {
        "address": "10.0.0.2:7443",
        "error": null,
        "facts": {
          "agentVersion": "0.1.0",
          "claim": {
            "expiresInMs": 8000,
            "kind": "backup",
            "operationId": "backup-20261121-091500-3fa94c01",
            "owner": "root@ops, pid 4711",
            "since": "2026-11-21T09:15:00.000Z",
          },
          "clock": "2026-11-21T09:15:02.000Z",
          "columnstore": null,
          "hostname": "db2.example.org",
          "mariadb": {
            "advertisedHost": "",
            "backupToolVersion": "10.11.19",
            "datadir": "/var/lib/mysql",
            "datadirBytes": 1342177280,
            "datadirFreeBytes": "1152921504606846977",
            "datadirIsMountPoint": false,
            "owner": "mysql:mysql",
            "port": 3306,
            "position": {
              "file": "bin.000008",
              "gtidBinlogPos": "0-1-840",
              "gtidSlavePos": "0-1-840",
              "logBin": true,
              "offset": 5655,
            },
            "replicationAccount": false,
            "running": true,
            "serverId": 2,
            "sources": [
              {
                "connectionName": "",
                "host": "10.0.0.1",
                "lagMs": 0,
                "lastError": "",
                "port": 3306,
                "running": true,
                "user": "repl",
                "usingGtid": "Slave_Pos",
              },
            ],
            "version": "10.11.19-MariaDB",
          },
          "repository": {
            "freeBytes": 85899345920,
            "path": "/backup/stillpoint",
          },
          "roles": [
            "sql",
          ],
          "unfinishedRestore": "restore-20261120-100100-77c01f2e",
        },
        "node": "db2",
        "reachable": true,
        "type": "node",
      }
    `);
  });

  it('shows the first and the last of the bytes, and no more than one line a second between', () => {
    const clock = standingClock();
    const stdout = new Captured();
    const renderer = jsonRenderer(stdout, clock);
    for (let done = 0; done <= 50; done++) {
      renderer.event({ type: 'progress', node: 'db1', step: 'capture', bytesDone: done, bytesTotal: 50 });
      clock.move(50);
    }
    const shown = stdout.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).bytesDone);
    expect(shown).toEqual([0, 20, 40, 50]);
  });
});
