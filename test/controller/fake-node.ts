import { VERSION } from '@stillpoint/shared/version';
import type { FakeModule } from './fake-engine.ts';
import type { Faults } from './faults.ts';

/** What a node has on its disks and in its server. It outlives its agent. */
export interface FakeNode {
  readonly name: string;
  readonly serverId: number;
  /** Host and port of the server it replicates from. */
  readonly source: { readonly host: string; readonly port: number } | undefined;
  readonly port: number;
  readonly faults: Faults;
  server: {
    running: boolean;
    /** What the data directory holds: `live`, or the set (and part) that was restored. */
    data: string;
    version: string;
    gtidBinlogPos: string;
    gtidSlavePos: string;
    /** Offset in the binary log. */
    offset: number;
    freeBytes: bigint;
    replicates: boolean;
  };
  /** The module of the engine that it is. */
  readonly engine: FakeModule | undefined;
  /** By set id. */
  readonly repository: Map<string, { captured: boolean; part?: Uint8Array; set?: Uint8Array }>;
  /** Sets that are marked as protected. */
  readonly marks: Set<string>;
  restore:
    | {
        operationId: string;
        phase: 'staged' | 'switched';
        staged: string;
        kept: string;
        /** What becomes of each dbroot, and what was in it; whether there was no Columnstore.xml. */
        dbroots: { coming: Map<number, string>; kept: Map<number, string>; gone: boolean } | undefined;
      }
    | undefined;
  /** The operation whose restored data a rollback has set aside; empty for none. */
  setAside: string;
  agentVersion: string;
  /** True while writers are shut out. */
  locked: boolean;
  /** What has happened, in order. */
  readonly history: string[];
  /** An agent's journal of tasks, which an agent that is started again reads. */
  readonly journal: Map<string, { spec: Uint8Array; ended: Uint8Array | undefined }>;
}

export function fakeNode(name: string, faults: Faults, source: FakeNode | undefined, engine: FakeModule | undefined): FakeNode {
  const serverId = Number(name.replace(/\D/g, ''));
  return {
    name,
    serverId,
    port: 3300 + serverId,
    source: source === undefined ? undefined : { host: '127.0.0.1', port: source.port },
    faults,
    server: {
      running: true,
      data: 'live',
      version: '10.11.19-MariaDB',
      gtidBinlogPos: '0-1-840',
      gtidSlavePos: source === undefined ? '' : '0-1-840',
      offset: 700,
      freeBytes: 100n * 1024n ** 3n,
      replicates: source !== undefined,
    },
    engine,
    repository: new Map(),
    marks: new Set(),
    restore: undefined,
    setAside: '',
    agentVersion: VERSION,
    locked: false,
    history: [],
    journal: new Map(),
  };
}

/** Where the server's log stands, as it goes over the wire. */
export const positionOf = ({ server }: FakeNode) => ({
  logBin: true,
  file: 'bin.000001',
  offset: BigInt(server.offset),
  gtidBinlogPos: server.gtidBinlogPos,
  gtidSlavePos: server.gtidSlavePos,
});
