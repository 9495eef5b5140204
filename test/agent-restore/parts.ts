import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  encodeManifest,
  LAYOUT,
  type PartManifest,
  partDirectory,
  type SetManifest,
  type Shard,
  sha256Of,
  shardNamed,
} from '@stillpoint/shared/manifest';

/** Whose part of which set, and where. */
export interface PartPlace {
  readonly repository: string;
  readonly cluster: string;
  readonly setId: string;
  readonly node: string;
}

/** A file that lies in a part's directory already, as a shard of it. */
export function shardOf(directory: string, name: string): Shard {
  const data = readFileSync(join(directory, name));
  const isConfiguration = name.startsWith(LAYOUT.configuration);
  const sealed = name.endsWith('.age');
  const { encoding } = shardNamed(name, isConfiguration ? 'tar+zstd' : 'mbstream+zstd', sealed);
  const content = isConfiguration ? 'configuration' : 'mariadb-full';
  return { name, content, encoding, storedBytes: data.length, sha256: sha256Of(data) };
}

/** The directory of a part, made. */
export function makePartDirectory({ repository, cluster, setId, node }: PartPlace): string {
  const directory = partDirectory(repository, cluster, setId, node);
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** Writes part.json; `fields` override an empty part. Gives the manifest and the digest of its bytes. */
export function writePartManifest(place: PartPlace, fields: Partial<PartManifest> = {}): { part: PartManifest; sha256: string } {
  const { cluster, setId, node } = place;
  const part: PartManifest = {
    format: 'stillpoint-part/1',
    cluster,
    setId,
    node,
    operationId: 'backup-1',
    createdAt: '2026-11-21T09:15:00Z',
    writtenBy: '0.1.0',
    hostname: 'host',
    shards: [],
    configuration: [],
    checksums: [],
    unproven: [],
    timings: { lockWaitMs: 1, blockedMs: 2, captureMs: 3 },
    ...fields,
  };
  const data = encodeManifest(part);
  writeFileSync(join(makePartDirectory(place), LAYOUT.partManifest), data);
  return { part, sha256: sha256Of(data) };
}

/** The bytes of a set.json with these members, by node and digest of their part.json, which needs bytes of the sets in `uses`. */
export function setManifest(
  { cluster, setId }: Pick<PartPlace, 'cluster' | 'setId'>,
  digests: Readonly<Record<string, string>>,
  uses: readonly string[] = [],
): Uint8Array {
  const set: SetManifest = {
    format: 'stillpoint-set/1',
    cluster,
    setId,
    operationId: 'backup-1',
    cutAt: '2026-11-21T09:15:00Z',
    releasedAt: '2026-11-21T09:15:01Z',
    committedAt: '2026-11-21T09:15:10Z',
    writtenBy: '0.1.0',
    holdSkewMs: 1,
    phases: [],
    uses: [...uses],
    members: Object.entries(digests).map(([node, partSha256]) => ({
      node,
      roles: ['sql', 'primary'],
      partSha256,
      storedBytes: 1,
      dataBytes: 1,
      mariadbVersion: '10.11.6-MariaDB',
      gtidBinlogPos: '',
      gtidSlavePos: '',
      source: '',
      dbroots: [],
      provenTables: 0,
      blockedMs: 1,
      phases: [],
    })),
  };
  return encodeManifest(set);
}
