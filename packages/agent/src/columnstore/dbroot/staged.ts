import type { Origin, PrecopiedRecord } from '../../precopied/index.ts';
import type { CapturedDbroot } from './described.ts';
import type { ParentDbroot } from './increment/parent-dbroot.ts';

/** Which dbroot, and how it is stored. */
export interface DbrootToCapture {
  readonly cluster: string;
  readonly number: number;
  /** As Columnstore.xml has it: it may be a link. */
  readonly path: string;
  /** The same without links. */
  readonly root: string;
  /** Place of the block resolution manager within the dbroot, relative; undefined when it is not there. */
  readonly brmDirectory: string | undefined;
  /** Directory of the part. */
  readonly part: string;
  /** How many shards are written at the same time. */
  readonly shards: number;
  /** How many threads look at it at the same time. */
  readonly threads: number;
  /** zstd level; 0 stores without compressing. */
  readonly level: number;
  /** Public keys that everything is encrypted for; none leaves it as it is. */
  readonly recipients: readonly string[];
  /** The same dbroot in an earlier set, whose files are not stored again; undefined stores all of it. */
  readonly parent?: ParentDbroot | undefined;
  /** Who copies it, for the record by which another backup can go on if this one is interrupted; undefined leaves no record. */
  readonly origin?: Origin | undefined;
  /** What such a backup has left of it in the part; it fits. */
  readonly before?: PrecopiedRecord | undefined;
}

/** What a stage may use. */
export interface DbrootWork {
  readonly signal: AbortSignal;
  /** What there is to read, bytes, once it is known. */
  readonly onFound: (bytes: number) => void;
  /** Bytes of files that were read, as they come. */
  readonly onBytes: (bytes: number) => void;
  /** Gets a sentence for whatever is left out. */
  readonly note: (message: string) => void;
}

/** The image of one dbroot in the making; its stages are those of StorageCapture. */
export interface StagedDbroot {
  precopy(work: DbrootWork): Promise<{ readonly bytes: number; readonly changedBytes: number }>;
  take(work: DbrootWork): Promise<void>;
  finish(work: DbrootWork): Promise<CapturedDbroot>;
  /** Ends what still runs, and removes what lies outside of the part. Repeatable, never throws. */
  discard(): Promise<void>;
}
