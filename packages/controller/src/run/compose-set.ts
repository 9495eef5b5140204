import { StillpointError } from '@stillpoint/shared/errors';
import { borrowedOf, encodeManifest, type SetManifest, type SetMember } from '@stillpoint/shared/manifest';
import { VERSION } from '@stillpoint/shared/version';
import type { BackupRun } from './backup-run.ts';

/**
 * Writes down what all nodes have published: the content of set.json. Throws MANIFEST_INVALID when the parts do not hold every dbroot of
 * the plan exactly once.
 */
export function composeSet(run: BackupRun): { readonly manifest: SetManifest; readonly bytes: Uint8Array } {
  const { cut, operation, plan, setId, times } = run;
  if (cut === undefined) throw new Error('a set without a cut');
  const columnstore = engineOf(run);
  const borrowed = [...run.parts.values()].flatMap(({ part }) => borrowedOf(part));
  const uses = [...new Set(borrowed.map(({ set }) => set))].toSorted();
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
    phases: times.all.map(({ phase, ms, blocksWriters }) => ({ phase, ms, blocksWriters })),
    members: plan.nodes.map(({ node }) => memberOf(run, node)),
    ...(plan.parent !== undefined && uses.length > 0 ? { parent: plan.parent } : {}),
    uses,
    ...(columnstore && { columnstore }),
  };
  return { manifest, bytes: encodeManifest(manifest) };
}

function memberOf({ blockedMs, felt, holds, parts, plan, times }: BackupRun, node: string): SetMember {
  const planned = plan.nodes.find((other) => other.node === node);
  const published = parts.get(node);
  const position = holds.get(node)?.acquired.position;
  if (planned === undefined || published === undefined) throw new Error(`nothing was published by ${node}`);
  const { part, sha256 } = published;
  const dbroots = part.columnstore?.dbroots ?? [];
  requireDbroots(
    node,
    planned.dbroots.map(({ number }) => number),
    dbroots.map(({ number }) => number),
  );
  const borrowedBytes = borrowedOf(part).reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  return {
    node,
    roles: [...planned.roles],
    partSha256: sha256,
    storedBytes: part.shards.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    ...(borrowedBytes > 0 && { borrowedBytes }),
    dataBytes: dbroots.reduce((sum, { dataBytes }) => sum + dataBytes, part.mariadb?.dataBytes ?? 0),
    mariadbVersion: part.mariadb?.version ?? '',
    gtidBinlogPos: position?.gtidBinlogPos ?? '',
    gtidSlavePos: position?.gtidSlavePos ?? '',
    source: planned.source,
    dbroots: dbroots.map(({ number }) => number),
    provenTables: part.checksums.length,
    blockedMs: blockedMs.get(node) ?? 0,
    ...(felt.has(node) ? { probe: felt.get(node) } : {}),
    phases: times.all.flatMap(({ phase, nodes }) => nodes.filter((on) => on.node === node).map(({ ms }) => ({ phase, ms }))),
  };
}

function requireDbroots(node: string, planned: readonly number[], captured: readonly number[]): void {
  const text = (numbers: readonly number[]): string => (numbers.length === 0 ? 'none' : numbers.toSorted((a, b) => a - b).join(', '));
  if (text(planned) === text(captured)) return;
  throw new StillpointError('MANIFEST_INVALID', `${node}: dbroots ${text(planned)} were to be captured, the part holds ${text(captured)}`, {
    node,
    hint: 'Was the mapping of dbroots changed during the backup? Start again when that is done.',
  });
}

/** As its primary wrote it down under the suspension. */
function engineOf({ parts, plan }: BackupRun): SetManifest['columnstore'] {
  const primary = plan.columnstore?.primary;
  const engine = parts.get(primary ?? '')?.part.columnstore;
  if (primary === undefined) return undefined;
  if (engine === undefined)
    throw new StillpointError('MANIFEST_INVALID', `${primary}: the part of the engine's primary tells nothing of the engine`, {
      node: primary,
    });
  const { configRevision, generation, version } = engine;
  return { version, generation, configRevision, primary };
}
