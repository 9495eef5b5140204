import { StillpointError } from '@stillpoint/shared/errors';
import { Damaged } from './damaged.ts';
import { contentOf, type StoredShard } from './list.ts';
import { type ArchivedFile, type ListedArchive, readContent } from './read-content.ts';
import { decompressing } from './zstd.ts';

/** A shard of a dbroot that is read, with what the list says of it. */
export interface ArchiveToRead extends StoredShard, ListedArchive {}

/**
 * Gives the files of a shard as they lie in it, and compares all of it with the list on the way: see README.md. Only the end of the generator
 * proves it. Throws PART_CORRUPT naming file and place, KEY_MISSING, or what `pieces` and `list` throw.
 */
export function readArchive(archive: ArchiveToRead): AsyncGenerator<ArchivedFile> {
  const { dbroot, index, list, shard, where } = archive;
  const corrupt = (error: unknown): unknown =>
    error instanceof Damaged
      ? new StillpointError('PART_CORRUPT', `${shard.name} of ${where} is damaged: ${error.message}`, { cause: error })
      : error;
  return readContent({ dbroot, index, list, content: contentOf(archive), decompress: decompressing, corrupt });
}
