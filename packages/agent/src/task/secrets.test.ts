import { create, toJsonString } from '@bufbuild/protobuf';
import { TaskSpecSchema } from '@stillpoint/shared/proto';
import { expect, test } from 'vitest';
import { withoutSecrets } from './secrets.ts';

const seed = { address: 'db1:7443', ticket: 'a secret' };

test('no ticket of any task is compared or written down', () => {
  const specs = [
    create(TaskSpecSchema, { task: { case: 'stage', value: { seed, dbroots: [{ number: 1, seed }, { number: 2 }] } } }),
    create(TaskSpecSchema, { task: { case: 'loadBrm', value: { primary: seed, primaryNode: 'db1' } } }),
  ];
  for (const spec of specs) {
    const bare = toJsonString(TaskSpecSchema, withoutSecrets(spec));
    expect(bare).not.toContain('a secret');
    expect(bare).toContain('db1:7443');
    // The task itself still needs it.
    expect(toJsonString(TaskSpecSchema, spec)).toContain('a secret');
  }
});
