import type { PartDbroot, Shard } from '@stillpoint/shared/manifest';
import type { StoredFile } from '../../archive/index.ts';
import type { Borrowed } from './increment/borrowing.ts';
import { type NamedBy, namedList } from './packing/names.ts';

/** A dbroot in a part. */
export interface CapturedDbroot {
  readonly dbroot: PartDbroot;
  /** Its archives, and its list. */
  readonly shards: readonly Shard[];
}

/** What was stored of a dbroot. */
export interface StoredDbroot extends NamedBy {
  readonly path: string;
  readonly files: number;
  readonly directories: number;
  /** Of the files that were stored, as they were read. */
  readonly dataBytes: number;
  readonly archives: readonly (StoredFile & Pick<Shard, 'name' | 'encoding'>)[];
  readonly list: StoredFile;
  /** See PartDbroot. */
  readonly superseded: boolean;
  readonly lookedAtMs: number;
  /** Of the host; empty where the kernel does not tell. */
  readonly bootId: string;
  readonly borrowed?: Borrowed | undefined;
}

/** What part.json says of a dbroot, and of its files in the part. Pure. */
export function describeDbroot({ archives, bootId, borrowed, list, superseded, recipients, ...described }: StoredDbroot): CapturedDbroot {
  const { number, path, files, directories, dataBytes, lookedAtMs } = described;
  const named = archives.map(
    ({ name, encoding, bytes, sha256 }): Shard => ({ name, encoding, content: 'dbroot', storedBytes: bytes, sha256 }),
  );
  const listed: Shard = {
    ...namedList({ number, recipients }),
    content: 'dbroot-files',
    storedBytes: list.bytes,
    sha256: list.sha256,
  };
  const shards = named.map(({ name }) => name);
  const dbroot = {
    ...{ number, path, files, directories, dataBytes: dataBytes + (borrowed?.dataBytes ?? 0), shards },
    ...(superseded && { superseded }),
    ...(borrowed && { borrowed: { ...borrowed, shards: [...borrowed.shards] } }),
    ...{ lookedAtMs, ...(bootId !== '' && { bootId }), list: listed.name },
  };
  return { dbroot, shards: [...named, listed] };
}
