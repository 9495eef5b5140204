import { describe, expect, it } from 'vitest';
import { StillpointError } from '../errors/index.ts';
import {
  dbrootStagingBytes,
  decodePartManifest,
  decodeSetManifest,
  encodeManifest,
  imagesOf,
  isSealed,
  LAYOUT,
  type PartDbroot,
  type PartManifest,
  partDirectory,
  type SetManifest,
  type Shard,
  setDirectory,
  sha256Of,
  shardNamed,
  stagingBytes,
} from './index.ts';

const sha = 'a'.repeat(64);

const part: PartManifest = {
  format: 'stillpoint-part/1',
  cluster: 'shop',
  setId: '20261121-091500-3fa94c01',
  node: 'db1',
  operationId: 'backup-20261121-091500-aabbccdd',
  createdAt: '2026-11-21T09:15:04.123Z',
  writtenBy: '0.1.0',
  hostname: 'db1.example.com',
  mariadb: {
    version: '10.11.19-MariaDB',
    backupToolVersion: '10.11.19',
    serverId: 1,
    datadir: '/var/lib/mysql',
    port: 3306,
    position: { logBin: true, file: 'bin.000007', offset: 4711, gtidBinlogPos: '0-1-42', gtidSlavePos: '' },
    sources: [{ connectionName: '', host: '10.0.0.1', port: 3306, user: 'repl', usingGtid: 'Slave_Pos' }],
    fromLsn: '0',
    toLsn: '18446744073709551615',
    lastLsn: '18446744073709551615',
    dataBytes: 389_000_000,
  },
  columnstore: {
    version: '6.4.12',
    generation: '5',
    configFile: '/etc/columnstore/Columnstore.xml',
    configRevision: 7,
    module: 1,
    primary: true,
    dbrmRoot: '/var/lib/columnstore/data1/systemFiles/dbrm/BRM_saves',
    brmCurrent: 'BRM_saves',
    owner: 'mysql:mysql',
    dbroots: [
      {
        number: 1,
        path: '/var/lib/columnstore/data1',
        files: 95,
        directories: 300,
        dataBytes: 405_900_000,
        shards: [LAYOUT.dbroot(1, 0), LAYOUT.dbroot(1, 1)],
        list: LAYOUT.dbrootFiles(1),
      },
    ],
  },
  shards: [
    { name: LAYOUT.mariadbFull, content: 'mariadb-full', encoding: 'mbstream+zstd', storedBytes: 12_345, sha256: sha },
    { name: LAYOUT.configuration, content: 'configuration', encoding: 'tar+zstd', storedBytes: 123, sha256: sha },
    { name: LAYOUT.dbroot(1, 0), content: 'dbroot', encoding: 'tar+zstd', storedBytes: 123, sha256: sha },
    { name: LAYOUT.dbroot(1, 1), content: 'dbroot', encoding: 'tar+zstd', storedBytes: 123, sha256: sha },
    { name: LAYOUT.dbrootFiles(1), content: 'dbroot-files', encoding: 'jsonl+zstd', storedBytes: 123, sha256: sha },
  ],
  configuration: [
    { path: '/etc/mysql/my.cnf', bytes: 12, mode: '0644', owner: 'root', group: 'root', mtime: '2026-01-01T00:00:00.000Z', sha256: sha },
  ],
  checksums: [{ database: 'shop', table: 'größe', engine: 'InnoDB', checksum: '4294967295' }],
  unproven: [{ database: 'shop', table: 'v', reason: 'a view' }],
  timings: { lockWaitMs: 3.5, blockedMs: 210.25, captureMs: 190 },
};

const set: SetManifest = {
  format: 'stillpoint-set/1',
  cluster: 'shop',
  setId: part.setId,
  operationId: part.operationId,
  cutAt: '2026-11-21T09:15:01.000Z',
  releasedAt: '2026-11-21T09:15:01.210Z',
  committedAt: '2026-11-21T09:15:05.000Z',
  writtenBy: '0.1.0',
  holdSkewMs: 4,
  phases: [{ phase: 'quiesce', ms: 12, blocksWriters: true }],
  uses: [],
  members: [
    {
      node: 'db1',
      roles: ['sql', 'primary'],
      partSha256: sha,
      storedBytes: 12_468,
      dataBytes: 389_000_000,
      mariadbVersion: '10.11.19-MariaDB',
      gtidBinlogPos: '0-1-42',
      gtidSlavePos: '',
      source: '',
      dbroots: [1],
      provenTables: 1,
      blockedMs: 210,
      probe: { longestMs: 211, writes: 40 },
      phases: [{ phase: 'quiesce', ms: 12 }],
    },
  ],
};

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));

/** The message of the refusal. */
function refusal(decode: (data: Uint8Array, where: string) => unknown, data: Uint8Array): string {
  try {
    decode(data, 'db1/part.json');
  } catch (error) {
    expect(error).toBeInstanceOf(StillpointError);
    expect((error as StillpointError).code).toBe('MANIFEST_INVALID');
    expect((error as StillpointError).message).toMatch(/^db1\/part\.json/);
    return (error as StillpointError).message.slice('db1/part.json'.length);
  }
  throw new Error('was accepted');
}

/** A copy of the part in which one thing is different. */
function partWith(change: (copy: Record<string, never> & PartManifest) => void): Uint8Array {
  const copy = structuredClone(part);
  change(copy as Record<string, never> & PartManifest);
  return bytes(copy);
}

describe('manifests', () => {
  it('are read as they were written', () => {
    expect(decodePartManifest(encodeManifest(part), 'part.json')).toEqual(part);
    expect(decodeSetManifest(encodeManifest(set), 'set.json')).toEqual(set);
  });

  it('always have the same bytes for the same content, for people and digests', () => {
    const text = new TextDecoder().decode(encodeManifest(set));
    expect(text).toMatch(/^\{\n {2}"format": "stillpoint-set\/1",\n/);
    expect(text.endsWith('}\n')).toBe(true);
    const again = encodeManifest(decodePartManifest(encodeManifest(part), 'part.json'));
    expect(sha256Of(again)).toBe(sha256Of(encodeManifest(part)));
  });

  it('of a node without a server or an engine have none', () => {
    const { mariadb: _, columnstore: __, ...rest } = part;
    expect(decodePartManifest(bytes(rest), 'part.json')).toEqual(rest);
  });

  it('are digested by sha256', () => {
    expect(sha256Of(bytes('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});

describe('a manifest that is not what was written is refused', () => {
  it.each([
    ['nothing', new Uint8Array()],
    ['half of it', encodeManifest(part).subarray(0, 500)],
    ['bytes that are not UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
  ])('%s', (_what, data) => expect(refusal(decodePartManifest, data)).toBe(' is not JSON'));

  it.each(['null', '[]', '5', '"part"', '{}'])('%s', (text) => expect(refusal(decodePartManifest, bytes(text))).not.toBe(''));

  it('another format, or a later version of it', () => {
    expect(refusal(decodePartManifest, encodeManifest(set))).toMatch(/^: format:/);
    expect(refusal(decodePartManifest, bytes({ ...part, format: 'stillpoint-part/2' }))).toMatch(/^: format:.*stillpoint-part\/1/);
    expect(refusal(decodeSetManifest, encodeManifest(part))).toMatch(/^: format:/);
  });

  it.each(Object.keys(part).filter((key) => key !== 'mariadb' && key !== 'columnstore'))('%s is missing', (key) => {
    const copy: Record<string, unknown> = { ...part };
    delete copy[key];
    expect(refusal(decodePartManifest, bytes(copy))).toMatch(new RegExp(`^: ${key}:`));
  });

  it('dbroots whose files it does not have, or has twice', () => {
    const dbrootRefusal = (change: (dbroot: PartDbroot, all: PartDbroot[]) => void): string =>
      refusal(
        decodePartManifest,
        partWith(({ columnstore }) => {
          const dbroots = columnstore?.dbroots ?? [];
          for (const dbroot of dbroots.slice()) change(dbroot, dbroots);
        }),
      );
    const where = ': columnstore.dbroots.0: ';
    expect(dbrootRefusal((dbroot) => dbroot.shards.push('other'))).toBe(`${where}other is not among the shards`);
    expect(dbrootRefusal((dbroot) => dbroot.shards.push(dbroot.list))).toBe(`${where}${LAYOUT.dbrootFiles(1)} is not among the shards`);
    expect(dbrootRefusal((dbroot) => Object.assign(dbroot, { list: LAYOUT.dbroot(1, 0) }))).toMatch(/is not among the shards$/);
    expect(dbrootRefusal((dbroot) => Object.assign(dbroot, { shards: [] }))).toMatch(/^: columnstore\.dbroots\.0\.shards: /);
    expect(dbrootRefusal((dbroot, all) => all.push(dbroot))).toBe(': columnstore.dbroots.1: dbroot 1 is there twice');
  });

  it('something that it does not know', () => {
    expect(refusal(decodePartManifest, bytes({ ...part, run: 'rm' }))).toMatch(/run/);
    expect(
      refusal(
        decodePartManifest,
        partWith(({ shards }) => Object.assign(shards[0] ?? {}, { run: 'rm' })),
      ),
    ).toMatch(/^: shards\.0:.*run/);
    expect(refusal(decodeSetManifest, bytes({ ...set, members: [{ ...set.members[0], run: 'rm' }] }))).toMatch(/^: members\.0:.*run/);
  });

  it('a set without members', () => {
    expect(refusal(decodeSetManifest, bytes({ ...set, members: [] }))).toMatch(/^: members:/);
  });

  it.each([
    ['too short', 'a'.repeat(63)],
    ['upper case', 'A'.repeat(64)],
    ['not hex', 'g'.repeat(64)],
    ['with a line end', `${'a'.repeat(64)}\n`],
    ['empty', ''],
  ])('a sha256 that is %s', (_what, sha256) => {
    expect(
      refusal(
        decodePartManifest,
        partWith(({ shards: [shard] }) => Object.assign(shard ?? {}, { sha256 })),
      ),
    ).toMatch(/^: shards\.0\.sha256:/);
    expect(refusal(decodeSetManifest, bytes({ ...set, members: [{ ...set.members[0], partSha256: sha256 }] }))).toMatch(
      /^: members\.0\.partSha256:/,
    );
  });

  it.each([-1, 1.5, '5', null, 2 ** 53])('a size of %s', (storedBytes) => {
    expect(
      refusal(
        decodePartManifest,
        partWith(({ shards: [shard] }) => Object.assign(shard ?? {}, { storedBytes })),
      ),
    ).toMatch(/^: shards\.0\.storedBytes:/);
  });
});

describe('a path that leads out of what a manifest may name is refused', () => {
  it.each(['../part.json', '..', '.', 'a/b', '/etc/passwd', 'a\\..\\b/c', 'x\0', '', '-rf', '.hidden', 'x\n', 'x'.repeat(65)])(
    'shard %j',
    (name) => {
      expect(
        refusal(
          decodePartManifest,
          partWith(({ shards: [shard] }) => Object.assign(shard ?? {}, { name })),
        ),
      ).toMatch(/^: shards\.0\.name:/);
    },
  );

  it.each(['etc/my.cnf', '../etc/my.cnf', '/etc/../root/.ssh/x', '/etc/./x', '/etc//x', '/etc/x\0', '', '.', '/..'])(
    'configuration file %j',
    (path) => {
      expect(
        refusal(
          decodePartManifest,
          partWith(({ configuration: [file] }) => Object.assign(file ?? {}, { path })),
        ),
      ).toMatch(/^: configuration\.0\.path: not a plain absolute path/);
    },
  );

  it.each(['var/lib/mysql', '/var/lib/../../etc', '/var/lib/mysql/../..'])('data directory %j', (datadir) => {
    expect(
      refusal(
        decodePartManifest,
        partWith(({ mariadb }) => Object.assign(mariadb ?? {}, { datadir })),
      ),
    ).toMatch(/^: mariadb\.datadir:/);
  });

  it.each(['../db1', 'a/b', '', '..'])('node, set, cluster %j', (name) => {
    for (const key of ['node', 'setId', 'cluster', 'operationId']) {
      expect(refusal(decodePartManifest, bytes({ ...part, [key]: name }))).toMatch(new RegExp(`^: ${key}:`));
    }
    for (const key of ['setId', 'cluster', 'operationId']) {
      expect(refusal(decodeSetManifest, bytes({ ...set, [key]: name }))).toMatch(new RegExp(`^: ${key}:`));
    }
    expect(refusal(decodeSetManifest, bytes({ ...set, members: [{ ...set.members[0], node: name }] }))).toMatch(/^: members\.0\.node:/);
  });
});

describe('the layout', () => {
  it('puts every part into the directory of its set', () => {
    expect(setDirectory('/backup', 'shop', 's1')).toBe('/backup/shop/s1');
    expect(partDirectory('/backup', 'shop', 's1', 'db1')).toBe('/backup/shop/s1/db1');
  });

  it('takes a little more than the data for staging', () => {
    expect(stagingBytes(0)).toBe(128 * 1024 * 1024);
    expect(dbrootStagingBytes({ dataBytes: 1_000_000, files: 9, directories: 1 })).toBe(1_000_000 + 10 * 4096 + 16 * 1024 * 1024);
    expect(stagingBytes(50_000_000_000)).toBe(51_000_000_000 + 128 * 1024 * 1024);
  });
});

describe('the images of a server', () => {
  const image = (name: string, content: 'mariadb-full' | 'mariadb-incremental') =>
    ({ name, content, encoding: 'mbstream+zstd', storedBytes: 1, sha256: sha }) as const;
  const full = image(LAYOUT.mariadbFull, 'mariadb-full');
  const incremental = image(LAYOUT.mariadbIncremental, 'mariadb-incremental');
  const delta = image(LAYOUT.mariadbDelta, 'mariadb-incremental');
  const other = { ...full, set: '20261120-091500-3fa94c01', node: 'db1' };
  const partOf = (own: readonly Shard[], mariadb: Partial<PartManifest['mariadb']> = {}): Uint8Array =>
    partWith((copy) => {
      copy.columnstore = undefined as never;
      copy.shards = [...own] as never;
      Object.assign(copy.mariadb ?? {}, mariadb);
    });

  it('follow each other: those of other sets, the one that was copied before the cut, the one of the cut', () => {
    const orders = [
      partOf([full]),
      partOf([delta, full], { base: full.name }),
      partOf([incremental], { chain: [other] }),
      partOf([delta, incremental], { base: incremental.name, chain: [other] }),
    ].map((data) => imagesOf(decodePartManifest(data, 'x')));
    expect(orders).toEqual([[full], [full, delta], [other, incremental], [other, incremental, delta]]);
  });

  it('of another set are never the only ones, and an image of the cut needs the one before it', () => {
    for (const data of [
      partOf([], { chain: [other] }),
      partOf([full, delta]),
      partOf([full], { base: full.name }),
      partOf([full, delta], { base: incremental.name }),
      partOf([incremental, delta, full], { base: full.name }),
    ])
      expect(refusal(decodePartManifest, data)).toMatch(/^: mariadb: .*(none of its own|two images)/);
    for (const data of [
      partOf([incremental]),
      partOf([delta, incremental], { base: incremental.name }),
      partOf([full], { chain: [other] }),
      partOf([full, delta], { base: delta.name }),
    ])
      expect(refusal(decodePartManifest, data)).toMatch(/^: mariadb: its images cannot follow each other/);
  });
});

describe('an encrypted part', () => {
  const recipients = ['age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg'];
  const sealed = (): Uint8Array =>
    partWith((copy) => {
      copy.encryption = { recipients };
      copy.shards = [{ ...shardNamed('config.tar.zst', 'tar+zstd', true), content: 'configuration', storedBytes: 1, sha256: sha }] as never;
      copy.columnstore = undefined as never;
    });

  it('says for whom, and which of its files', () => {
    const { encryption, shards } = decodePartManifest(sealed(), 'x');
    expect(encryption).toEqual({ recipients });
    expect(shards).toMatchObject([{ name: 'config.tar.zst.age', encoding: 'tar+zstd+age' }]);
    expect(shards.map(isSealed)).toEqual([true]);
  });

  it('is encrypted whole, or not at all', () => {
    const refused = (data: Uint8Array): string => refusal(decodePartManifest, data);
    expect(refused(partWith((copy) => Object.assign(copy, { encryption: { recipients } })))).toContain('encrypted, or not, as no other is');
    expect(refused(partWith((copy) => Object.assign(copy.shards[0] ?? {}, { encoding: 'mbstream+zstd+age' })))).toContain('shards');
    expect(refused(partWith((copy) => Object.assign(copy, { encryption: { recipients: ['AGE-SECRET-KEY-1'] } })))).toContain('recipients');
  });
});
