import { clone } from '@bufbuild/protobuf';
import { type SeedSource, type TaskSpec, TaskSpecSchema } from '@stillpoint/shared/proto';

/**
 * The spec as it is compared and journaled: without the tickets of seeds. These are secrets, and every attempt at the same
 * task comes with fresh ones.
 */
export function withoutSecrets(spec: TaskSpec): TaskSpec {
  const bare = clone(TaskSpecSchema, spec);
  for (const seed of seedsOf(bare)) if (seed !== undefined) seed.ticket = '';
  return bare;
}

function seedsOf({ task }: TaskSpec): (SeedSource | undefined)[] {
  if (task.case === 'stage') return [task.value.seed, ...task.value.dbroots.map(({ seed }) => seed)];
  return task.case === 'loadBrm' ? [task.value.primary] : [];
}
