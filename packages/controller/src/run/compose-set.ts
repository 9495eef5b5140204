import { encodeManifest, type SetManifest, type SetMember } from '@stillpoint/shared/manifest';
import { VERSION } from '@stillpoint/shared/version';
import type { BackupRun } from './backup-run.ts';

/** Writes down what all nodes have published: the content of set.json. */
export function composeSet(run: BackupRun): { readonly manifest: SetManifest; readonly bytes: Uint8Array } {
  const { cut, operation, plan, setId, timings } = run;
  if (cut === undefined) throw new Error('a set without a cut');
  const manifest: SetManifest = {
    format: 'stillpoint-set/1',
    cluster: plan.cluster,
    setId,
    operationId: operation.id,
    cutAt: cut.at.toISOString(),
    releasedAt: cut.releasedAt.toISOString(),
    committedAt: operation.clock.now().toISOString(),
    writtenBy: VERSION,
    holdSkewMs: cut.holdSkewMs,
    phases: [...timings],
    members: plan.nodes.map(({ node }) => memberOf(run, node)),
  };
  return { manifest, bytes: encodeManifest(manifest) };
}

function memberOf({ blockedMs, holds, parts, plan }: BackupRun, node: string): SetMember {
  const planned = plan.nodes.find((other) => other.node === node);
  const published = parts.get(node);
  const position = holds.get(node)?.acquired.position;
  if (planned === undefined || published === undefined) throw new Error(`nothing was published by ${node}`);
  const { part, sha256 } = published;
  const dbroots = part.columnstore?.dbroots ?? [];
  return {
    node,
    roles: [...planned.roles],
    partSha256: sha256,
    storedBytes: part.shards.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    dataBytes: (part.mariadb?.dataBytes ?? 0) + dbroots.reduce((sum, { dataBytes }) => sum + dataBytes, 0),
    mariadbVersion: part.mariadb?.version ?? '',
    gtidBinlogPos: position?.gtidBinlogPos ?? '',
    gtidSlavePos: position?.gtidSlavePos ?? '',
    source: planned.source,
    dbroots: dbroots.map(({ number }) => number),
    provenTables: part.checksums.length,
    blockedMs: blockedMs.get(node) ?? 0,
  };
}
