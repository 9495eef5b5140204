/** Shards of a dbroot: tar archives in zstd frames, and the list of what is in them. See README.md. */
export { openedPieces, readList, readListInPortions, type StoredShard, writeLines, writeList } from './list.ts';
export { rawFrame } from './raw-frame.ts';
export { readArchive } from './read.ts';
export { FILE_MODE, type StoredFile } from './stored.ts';
export { StoredFileWriter } from './stored-file.ts';
export type { TarEntry } from './tar/blocks.ts';
export { ArchiveWriter } from './write.ts';
