import { clone } from '@bufbuild/protobuf';
import { type TaskSpec, TaskSpecSchema } from '@stillpoint/shared/proto';

/**
 * The spec as it is compared and journaled: without the ticket of a seed. That is a secret, and every attempt at the same
 * task comes with a fresh one.
 */
export function withoutSecrets(spec: TaskSpec): TaskSpec {
  const bare = clone(TaskSpecSchema, spec);
  if (bare.task.case === 'stage' && bare.task.value.seed !== undefined) bare.task.value.seed.ticket = '';
  return bare;
}
