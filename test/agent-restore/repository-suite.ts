import { beforeEach, describe, expect, test } from 'vitest';
import type { Repository, StoredSet } from '../../packages/agent/src/repository/index.ts';

/** One kind of repository, as the suite needs it. Cluster `c`, own node `n1`. */
export interface Candidate {
  readonly repository: Repository;
  /** Puts a part there, with one shard `data.zst` that holds `data`; gives the digest of its part.json. */
  putPart(setId: string, node: string, data: Uint8Array): Promise<string>;
  /** Puts something there that is no set. */
  putJunk(): Promise<void>;
  /** The bytes of a set.json. */
  setManifest(setId: string, digests: Readonly<Record<string, string>>, uses?: readonly string[]): Uint8Array;
}

const A = '20261121-091500-aaaaaaaa';
const B = '20261121-101500-bbbbbbbb';
const C = '20261122-091500-cccccccc';

/** What every adapter of the repository port must do. */
export function describeRepository(kind: string, make: () => Promise<Candidate>): void {
  describe(`a repository: ${kind}`, () => {
    let candidate: Candidate;
    let repository: Repository;
    beforeEach(async () => {
      candidate = await make();
      repository = candidate.repository;
    });
    const list = async (): Promise<StoredSet[]> => {
      const sets: StoredSet[] = [];
      for await (const set of repository.listSets(new AbortController().signal)) sets.push(set);
      return sets;
    };
    const committed = async (setId: string, uses: readonly string[] = []): Promise<Uint8Array> => {
      const manifest = candidate.setManifest(setId, { n1: await candidate.putPart(setId, 'n1', Buffer.from(setId)) }, uses);
      await repository.commitSet(setId, manifest);
      return manifest;
    };
    const code = (expected: string) => expect.objectContaining({ code: expected });

    test('an empty one lists nothing and has space', async () => {
      expect(await list()).toEqual([]);
      expect(await repository.freeBytes()).toBeGreaterThan(0);
    });

    test('sets are listed newest first, the uncommitted without a manifest; junk is passed over', async () => {
      await committed(B);
      await committed(A);
      await candidate.putPart(C, 'n1', Buffer.from('x'));
      await candidate.putJunk();
      expect((await list()).map(({ setId, manifest, hasPart }) => [setId, manifest !== undefined, hasPart])).toEqual([
        [C, false, true],
        [B, true, true],
        [A, true, true],
      ]);
    });

    test('many sets are listed completely and in order', async () => {
      const ids = Array.from({ length: 100 }, (_, i) => `20261121-0915${String(i).padStart(2, '0')}-aaaaaaaa`);
      for (const id of ids) await committed(id);
      expect((await list()).map(({ setId }) => setId)).toEqual([...ids].reverse());
    });

    test('a set exists from its commit on, with exactly the bytes given', async () => {
      await candidate.putPart(A, 'n1', Buffer.from('x'));
      await expect(repository.readSet(A)).rejects.toEqual(code('SET_NOT_FOUND'));
      const manifest = await committed(A);
      expect(Buffer.from(await repository.readSet(A))).toEqual(Buffer.from(manifest));
      await repository.commitSet(A, manifest);
    });

    test('a commit is refused when the part is not the one it names', async () => {
      await candidate.putPart(A, 'n1', Buffer.from('x'));
      await expect(repository.commitSet(A, candidate.setManifest(A, { n1: '0'.repeat(64) }))).rejects.toEqual(code('PART_CORRUPT'));
      expect((await list())[0]?.manifest).toBeUndefined();
    });

    test('a commit is refused without a part, for another set, without this node, or when it is no manifest', async () => {
      await expect(repository.commitSet(B, candidate.setManifest(B, { n1: '0'.repeat(64) }))).rejects.toEqual(code('PART_NOT_FOUND'));
      const digest = await candidate.putPart(A, 'n1', Buffer.from('x'));
      await expect(repository.commitSet(A, candidate.setManifest(B, { n1: digest }))).rejects.toEqual(code('MANIFEST_INVALID'));
      await expect(repository.commitSet(A, candidate.setManifest(A, { n2: digest }))).rejects.toEqual(code('MANIFEST_INVALID'));
      await expect(repository.commitSet(A, Buffer.from('{}'))).rejects.toEqual(code('MANIFEST_INVALID'));
      await expect(repository.readSet(A)).rejects.toEqual(code('SET_NOT_FOUND'));
    });

    test('what was stored is read back in order, in pieces of at most 1 MiB', async () => {
      const data = Buffer.alloc(2_500_000, (Math.random() * 256) | 0);
      data.write('end', data.length - 3);
      await candidate.putPart(A, 'n1', data);
      expect(await repository.shardBytes(A, 'n1', 'data.zst')).toBe(data.length);
      const pieces: Uint8Array[] = [];
      for await (const piece of repository.readShard(A, 'n1', 'data.zst', new AbortController().signal)) pieces.push(piece);
      expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(1024 * 1024);
      expect(Buffer.concat(pieces).equals(data)).toBe(true);
    });

    test('a missing file is told from an empty one', async () => {
      await candidate.putPart(A, 'n1', Buffer.alloc(0));
      expect(await repository.shardBytes(A, 'n1', 'data.zst')).toBe(0);
      expect(await repository.shardBytes(A, 'n1', 'other.zst')).toBeUndefined();
      const reading = repository.readShard(A, 'n1', 'other.zst', new AbortController().signal)[Symbol.asyncIterator]();
      await expect(reading.next()).rejects.toEqual(code('PART_CORRUPT'));
    });

    test('reading stops when it is aborted', async () => {
      await candidate.putPart(A, 'n1', Buffer.alloc(3_000_000));
      const abort = new AbortController();
      const reading = repository.readShard(A, 'n1', 'data.zst', abort.signal)[Symbol.asyncIterator]();
      await reading.next();
      abort.abort(new Error('enough'));
      await expect(reading.next()).rejects.toThrow('enough');
    });

    test('deleting frees the bytes, again frees none, and leaves other sets alone', async () => {
      await committed(A);
      await committed(B);
      expect(await repository.deletePart(A)).toBeGreaterThan(0);
      expect(await repository.deletePart(A)).toBe(0);
      expect((await list()).map(({ setId }) => setId)).toEqual([B]);
      await expect(repository.readPart(A)).rejects.toEqual(code('PART_NOT_FOUND'));
    });

    test('deleting leaves the part of another node, no longer committed', async () => {
      const digests = { n1: await candidate.putPart(A, 'n1', Buffer.from('1')), n2: await candidate.putPart(A, 'n2', Buffer.from('2')) };
      await repository.commitSet(A, candidate.setManifest(A, digests));
      await repository.deletePart(A);
      expect(await repository.readPart(A, 'n2')).toBeDefined();
      await expect(repository.readSet(A)).rejects.toEqual(code('SET_NOT_FOUND'));
    });

    test('a protected set is listed as such and not deleted until the mark is gone', async () => {
      await committed(A);
      await committed(B);
      const mark = new TextEncoder().encode('{}');
      expect(await repository.protectSet(A, mark)).toBe(true);
      expect(await repository.protectSet(A, mark)).toBe(false);
      expect((await list()).map(({ setId, isProtected }) => [setId, isProtected])).toEqual([
        [B, false],
        [A, true],
      ]);
      await expect(repository.deletePart(A)).rejects.toEqual(code('SET_PROTECTED'));
      expect(await repository.readSet(A)).toBeDefined();
      expect(await repository.readPart(A)).toBeDefined();
      expect(await repository.unprotectSet(A)).toBe(true);
      expect(await repository.unprotectSet(A)).toBe(false);
      expect(await repository.deletePart(A)).toBeGreaterThan(0);
      expect((await list()).map(({ setId }) => setId)).toEqual([B]);
    });

    test('only a committed set can be protected', async () => {
      await candidate.putPart(A, 'n1', Buffer.from('x'));
      await expect(repository.protectSet(A, new Uint8Array())).rejects.toEqual(code('SET_NOT_FOUND'));
      await expect(repository.protectSet(B, new Uint8Array())).rejects.toEqual(code('SET_NOT_FOUND'));
      expect(await repository.unprotectSet(B)).toBe(false);
    });

    test('a set whose bytes others need is deleted after them only', async () => {
      await committed(A);
      await committed(B, [A]);
      await committed(C, [A, B]);
      await expect(repository.deletePart(A)).rejects.toEqual(
        expect.objectContaining({ code: 'SET_NEEDED', message: expect.stringContaining(`${B}, ${C}`) }),
      );
      await repository.deletePart(C);
      await expect(repository.deletePart(A)).rejects.toEqual(code('SET_NEEDED'));
      await repository.deletePart(B);
      expect(await repository.deletePart(A)).toBeGreaterThan(0);
      expect(await list()).toEqual([]);
    });

    test('an unfinished part is removed, a committed one is not', async () => {
      await candidate.putPart(A, 'n1', Buffer.from('x'));
      await committed(B);
      expect(await repository.removeUnfinishedPart(A)).toBe(true);
      expect(await repository.removeUnfinishedPart(A)).toBe(false);
      expect(await repository.removeUnfinishedPart(B)).toBe(false);
      expect((await list()).map(({ setId }) => setId)).toEqual([B]);
    });

    test.each(['..', '.', '../x', 'a/b', '/etc', '', 'a\0b', '.hidden', 'x'.repeat(65)])('%j names no set, node or file', async (name) => {
      await committed(A);
      await expect(repository.readSet(name)).rejects.toEqual(code('USAGE'));
      await expect(repository.readPart(A, name)).rejects.toEqual(code('USAGE'));
      await expect(repository.shardBytes(A, 'n1', name)).rejects.toEqual(code('MANIFEST_INVALID'));
      expect(() => repository.readShard(A, 'n1', name, new AbortController().signal)).toThrow();
      await expect(repository.deletePart(name)).rejects.toEqual(code('USAGE'));
      await expect(repository.removeUnfinishedPart(name)).rejects.toEqual(code('USAGE'));
      await expect(repository.commitSet(name, candidate.setManifest(A, { n1: '0'.repeat(64) }))).rejects.toEqual(code('USAGE'));
    });
  });
}
