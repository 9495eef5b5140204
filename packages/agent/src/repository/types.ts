/** A set of which something lies in the repository. */
export interface StoredSet {
  readonly setId: string;
  /** The bytes of set.json; undefined when the set was never committed. */
  readonly manifest: Uint8Array | undefined;
  /** Whether this node's part.json is there. */
  readonly hasPart: boolean;
  /** Whether it is marked as protected. */
  readonly isProtected: boolean;
}

/**
 * Where a node keeps its parts. Sets, nodes and files are named, never given as paths: nothing outside can be reached.
 * A name that is none throws USAGE (from a request) or MANIFEST_INVALID (from a manifest).
 */
export interface Repository {
  /** Sets of which something lies here, newest first. What is no set is passed over. */
  listSets(signal: AbortSignal): AsyncIterable<StoredSet>;
  /** The bytes of set.json. Throws SET_NOT_FOUND. */
  readSet(setId: string): Promise<Uint8Array>;
  /** The bytes of a node's part.json, this node's by default. Throws PART_NOT_FOUND. */
  readPart(setId: string, node?: string): Promise<Uint8Array>;
  /** Size of a stored file, bytes; undefined when it is missing. */
  shardBytes(setId: string, node: string, shard: string): Promise<number | undefined>;
  /** The bytes of a stored file in order, pieces of at most 1 MiB. Throws PART_CORRUPT when it is missing or unreadable. */
  readShard(setId: string, node: string, shard: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Writes the instructions and then set.json: from then on the set exists. The same bytes again change nothing.
   * Throws MANIFEST_INVALID when the bytes are not a manifest of this set with this node in it, PART_NOT_FOUND, or
   * PART_CORRUPT when the part that lies here is not the one it names.
   */
  commitSet(setId: string, manifest: Uint8Array): Promise<void>;
  /** Marks a committed set as protected, with `mark` for people to read. False when it was already. Throws SET_NOT_FOUND. */
  protectSet(setId: string, mark: Uint8Array): Promise<boolean>;
  /** Takes the mark away. False when there was none. */
  unprotectSet(setId: string): Promise<boolean>;
  /**
   * Takes the commit back, then removes this node's part. Nothing to do when there is none. Gives the bytes freed. Throws
   * SET_PROTECTED for a set that is marked, and SET_NEEDED for one whose bytes another committed set needs.
   */
  deletePart(setId: string): Promise<number>;
  /** Removes this node's part of a set that was never committed; leaves a committed one alone. Gives whether it removed one. */
  removeUnfinishedPart(setId: string): Promise<boolean>;
  /** Bytes free for the agent. */
  freeBytes(): Promise<number>;
}
