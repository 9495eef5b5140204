/** Manifests: what a set and a part look like on disk. Formats are versioned by their `format` field. */
export { archivesOf, borrowedOf, placeOf } from './borrowed.ts';
export { decodePartManifest, decodeSetManifest, encodeManifest, sha256Of } from './codec.ts';
export { type ListedEntry, type ListedFile, listedEntrySchema } from './files.ts';
export { imagesOf } from './images.ts';
export { LAYOUT, partDirectory, setDirectory } from './layout.ts';
export { decodeEntries, encodeEntry } from './list.ts';
export type {
  BorrowedShard,
  ConfigurationFile,
  ManifestPosition,
  PartColumnstore,
  PartDbroot,
  PartManifest,
  Shard,
  TableChecksum,
  UnprovenTable,
} from './part.ts';
export { isSealed, type PlainEncoding, shardNamed } from './sealed.ts';
export type { MemberRole, SetManifest, SetMember } from './set.ts';
export { dbrootStagingBytes, stagingBytes } from './space.ts';
