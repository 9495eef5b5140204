import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { EngineProcess } from '../../packages/agent/src/columnstore/engine/processes.ts';
import type { Engine } from '../../packages/agent/src/columnstore/types.ts';
import { ownAccount } from '../../packages/agent/src/host/index.ts';
import { type EngineLock, renderLockTable } from './lock-table.ts';

/** Programs of the engine that answer from files, for tests of decisions: no engine stands behind them. */
export interface EnginePrograms {
  readonly directory: string;
  /** The engine of a single node, or what is said of it. */
  engine(facts?: Partial<Engine>): Engine;
  /** Flags: `ro` read-only, `down` controllernode out of reach, `not-ready`, `suspended` and `pending` in the words of mcsadmin. */
  set(...flags: readonly Flag[]): void;
  clear(...flags: readonly Flag[]): void;
  has(flag: Flag): boolean;
  /** What viewtablelock lists. */
  lock(...locks: readonly EngineLock[]): void;
  /** What viewtablelock prints instead. */
  say(text: string): void;
  /** Shell text that runs in `dbrmctl readonly` and the like before they answer; `exit` in it is the whole answer. */
  before(call: string, script: string): void;
  /** What was called, in order, without the questions. */
  commands(): readonly string[];
  /** All that was called. */
  calls(): readonly string[];
  /** Processes of the node: controllernode, unless changed. */
  readonly processes: EngineProcess[];
  remove(): void;
}

type Flag = 'ro' | 'down' | 'not-ready' | 'suspended' | 'pending';

const DBRMCTL = `
if [ -e down ]; then
  echo 'DBRM::send_recv caught: connect() error: Connection refused' >&2
  echo 'Failure: an unspecific communication error.'
  exit 0
fi
case "$*" in
  '-v status')
    if [ -e ro ]; then echo 'DBRM is currently Read Only!'
    elif [ -e not-ready ]; then echo 'OK. (but the system is not ready)'
    else echo 'OK. (and the system is ready)'; fi ;;
  readonly) touch ro; echo OK. ;;
  readwrite) rm -f ro; echo OK. ;;
  *) echo "Usage: dbrmctl" >&2; exit 1 ;;
esac`;

const VIEWTABLELOCK = `
if [ -e down ]; then
  echo 'Error getting list of table locks: DBRM: getAllTableLocks(): network error' >&2
  exit 2
fi
cat locks`;

const SAVE_BRM = `
for part in em vbbm vss; do echo x >"$DBRM/BRM_saves_$part"; done
: >"$DBRM/BRM_saves_journal"
echo BRM_saves >"$DBRM/BRM_saves_current"
echo "Saved to $DBRM/BRM_saves"`;

const MCSADMIN = `
case "$1" in
  getSystemStatus)
    more=' '
    [ -e pending ] && more=' WRITE SUSPEND PENDING'
    [ -e suspended ] && more=' WRITE SUSPENDED'
    printf '\\nSystem columnstore-1\\n\\nSystem and Module statuses\\n\\n'
    printf 'Component     Status                       Last Status Change\\n'
    printf '%s\\n' '------------  --------------------------   ------------------------'
    printf 'System        %-29sFri Nov 20 12:00:00 2026\\n\\nModule pm1    ACTIVE                       Fri Nov 20 12:00:00 2026\\n' "ACTIVE$more" ;;
  suspendDatabaseWrites)
    printf '\\nThis command suspends the DDL/DML writes to the MariaDB ColumnStore Database\\n'
    printf '\\n   Waiting for all transactions to complete.\\nSuspend MariaDB Columnstore Database Writes Request successfully completed\\n'
    touch suspended; rm -f pending ;;
  resumeDatabaseWrites)
    printf '\\nResume MariaDB ColumnStore Database Writes Request successfully completed\\n'
    rm -f suspended pending ;;
esac`;

/** Makes the programs and puts them first in PATH of this process, until `remove`. */
export function enginePrograms(): EnginePrograms {
  const directory = mkdtempSync(join(tmpdir(), 'stillpoint-engine-'));
  const at = (...names: string[]): string => join(directory, ...names);
  const dbrm = at('data1', 'systemFiles', 'dbrm');
  for (const name of ['bin', 'state', 'hooks']) mkdirSync(at(name));
  mkdirSync(dbrm, { recursive: true });
  writeFileSync(at('Columnstore.xml'), '<Columnstore/>');
  for (const [name, script] of Object.entries({ dbrmctl: DBRMCTL, viewtablelock: VIEWTABLELOCK, save_brm: SAVE_BRM, mcsadmin: MCSADMIN })) {
    const hook = `hook="${at('hooks')}/$(echo ${name} "$@" | tr ' ' -)"`;
    const head = `cd ${at('state')}\necho ${name} "$@" >>calls\nDBRM=${dbrm}\n${hook}\n[ -e "$hook" ] && . "$hook"`;
    writeFileSync(at('bin', name), `#!/bin/sh\n${head}\n${script}\n`);
    chmodSync(at('bin', name), 0o755);
  }
  const path = process.env.PATH;
  process.env.PATH = `${at('bin')}${delimiter}${path}`;
  const say = (text: string): void => writeFileSync(at('state', 'locks'), text);
  const calls = (): string[] => {
    const file = at('state', 'calls');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  };
  say(renderLockTable([]));
  return {
    directory,
    engine: (facts = {}) => ({ ...singleNode(directory, dbrm), ...facts }),
    set: (...flags) => {
      for (const flag of flags) writeFileSync(at('state', flag), '');
    },
    clear: (...flags) => {
      for (const flag of flags) rmSync(at('state', flag), { force: true });
    },
    has: (flag) => existsSync(at('state', flag)),
    lock: (...locks) => say(renderLockTable(locks)),
    say,
    before: (call, script) => writeFileSync(at('hooks', call.replaceAll(' ', '-')), script),
    commands: () => calls().filter((call) => !/^(?:dbrmctl -v status|viewtablelock|mcsadmin getSystemStatus)/.test(call)),
    calls,
    processes: [{ pid: 900, name: 'controllernode', startedTicks: 1_000n }],
    remove: () => {
      process.env.PATH = path;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function singleNode(directory: string, dbrm: string): Engine {
  const configFile = join(directory, 'Columnstore.xml');
  const dbroot = { number: 1, path: join(directory, 'data1') };
  return {
    configFile,
    configSha256: createHash('sha256').update(readFileSync(configFile)).digest('hex'),
    generation: '5',
    version: '',
    dataDirectory: directory,
    topology: {
      configRevision: 7,
      managedByCmapi: false,
      modules: [{ id: 1, addresses: ['127.0.0.1'], hostNames: ['localhost'], dbroots: [1], enabled: true }],
      dbroots: new Map([[1, dbroot.path]]),
      controllerHost: '127.0.0.1',
      primaryModule: 1,
      dbrmRoot: join(dbrm, 'BRM_saves'),
      scratchDirectory: join(directory, 'scratch'),
      storage: 'local',
    },
    module: 1,
    isPrimary: true,
    owned: [dbroot],
    owner: ownAccount(),
    contradictions: [],
  };
}
