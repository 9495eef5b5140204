import type { TaskOrder } from '../agents/task.ts';
import { plannedFor, type RestoreRun } from './restore-run.ts';
import { type Seed, seedPart } from './seed.ts';

/** What a node is to stage. Throws RESTORE_REFUSED when an image lies on a node that is left out, or what the agents that seed answer. */
export async function stageSpec(run: RestoreRun, node: string): Promise<Awaited<ReturnType<TaskOrder['spec']>>> {
  const { dbroots, engine, gtidPosition, image, imageSha256, ownPartSha256, restoreConfiguration } = plannedFor(run, node);
  const seeds = await seedsFor(run, node, [image, ...dbroots.map(({ from }) => from)]);
  const value = {
    setId: run.plan.setId,
    sourceNode: image,
    partSha256: imageSha256,
    gtidPosition,
    prepareMemoryBytes: BigInt(run.settings.prepareMemoryMiB) * 1024n * 1024n,
    restoreConfiguration,
    ownPartSha256: restoreConfiguration && image !== node ? ownPartSha256 : '',
    ...seedIn(seeds, image),
    dbroots: dbroots
      .filter(({ from }) => from !== '')
      .map(({ from, number, partSha256 }) => ({ number, node: from, partSha256, ...seedIn(seeds, from) })),
    emptyDbroots: dbroots.filter(({ from }) => from === '').map(({ number }) => number),
    columnstore: engine !== undefined,
  };
  return { task: { case: 'stage', value } };
}

/** One ticket for each other node whose part is needed. */
async function seedsFor(run: RestoreRun, node: string, sources: readonly string[]): Promise<ReadonlyMap<string, Seed>> {
  const others = [...new Set(sources)].filter((source) => source !== '' && source !== node);
  return new Map(await Promise.all(others.map(async (from) => [from, await seedPart(run, from, node)] as const)));
}

function seedIn(seeds: ReadonlyMap<string, Seed>, source: string): { seed?: Seed } {
  const seed = seeds.get(source);
  return seed === undefined ? {} : { seed };
}
