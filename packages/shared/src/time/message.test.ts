import { create, toBinary } from '@bufbuild/protobuf';
import { DurationSchema, durationMs } from '@bufbuild/protobuf/wkt';
import { expect, it } from 'vitest';
import { durationOf } from './index.ts';

it.each([
  [0, 0],
  [0.4, 0],
  [1234.567, 1235],
  [4_377_804.376_610_956, 4_377_804],
])('%d ms travel as %d', (ms, arrives) => {
  const message = create(DurationSchema, durationOf(ms));
  expect(toBinary(DurationSchema, message).length).toBeLessThan(16);
  expect(durationMs(message)).toBe(arrives);
});
