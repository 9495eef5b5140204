import type { Account } from '../host/index.ts';

/** How a release is laid out and controlled: before 1.4, 1.4, 5 and 6, 22.08 and later. */
export type Generation = 'oam' | '1.4' | '5' | '22.08';

/** A performance module of Columnstore.xml: a node of the engine. */
export interface Module {
  /** The N of pmN. Given anew when nodes come and go. */
  readonly id: number;
  /** One a network interface; `unassigned` and 0.0.0.0 left out. */
  readonly addresses: readonly string[];
  readonly hostNames: readonly string[];
  /** Numbers of the dbroots that it owns, ascending; several, or none. */
  readonly dbroots: readonly number[];
  readonly enabled: boolean;
}

/** What Columnstore.xml says of the cluster. The same on every node, or something is wrong. */
export interface Topology {
  /** 0 where cmapi has never managed it. */
  readonly configRevision: number;
  /** True when cmapi manages the cluster: it has active nodes. */
  readonly managedByCmapi: boolean;
  readonly modules: readonly Module[];
  /** Directory by number; numbers may have holes. */
  readonly dbroots: ReadonlyMap<number, string>;
  /** Host or address of controllernode. */
  readonly controllerHost: string;
  /** Id of the module that owns dbroot 1; 0 when none does. */
  readonly primaryModule: number;
  /** Path prefix of the saved block resolution manager (SystemConfig/DBRMRoot). */
  readonly dbrmRoot: string;
  /** Where copies of the block resolution manager may be put for loading (SystemTempFileDir with hdfsRdwrScratch). */
  readonly scratchDirectory: string;
  readonly storage: 'local' | 'storagemanager';
}

/** The engine of this node, as its files tell. Read anew for each use: an administrator may have changed it. */
export interface Engine {
  readonly configFile: string;
  /** sha256 of it, in hex. */
  readonly configSha256: string;
  readonly generation: Generation;
  /** Empty when nothing on disk tells it. */
  readonly version: string;
  /** Where local/module and .secrets are. */
  readonly dataDirectory: string;
  readonly topology: Topology;
  /** Id of the module that this node is; 0 when it is none or that is in doubt (see `contradictions`). */
  readonly module: number;
  /** True when this node is the module that owns dbroot 1. */
  readonly isPrimary: boolean;
  /** Dbroots that this node owns, by number. */
  readonly owned: readonly { readonly number: number; readonly path: string }[];
  /** Owner of the data: who runs save_brm and load_brm, and to whom restored files belong. */
  readonly owner: Account;
  /** Where the file and this node disagree, a sentence each that names both sides. */
  readonly contradictions: readonly string[];
}

/** What the engine says of itself. */
export interface EngineStatus {
  readonly mode: 'read-write' | 'read-only' | 'unreachable' | 'unknown';
  /** In its own words. */
  readonly text: string;
  readonly ready: boolean;
}
