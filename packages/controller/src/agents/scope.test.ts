import { StillpointError } from '@stillpoint/shared/errors';
import { expect, it } from 'vitest';
import { withoutNode } from './scope.ts';

it.each([
  ['db1: the server is down', 'the server is down'],
  ['db1 (10.0.0.1:7443): ECONNREFUSED', '10.0.0.1:7443: ECONNREFUSED'],
  ['db1 (10.0.0.1:7443) is gone', 'db1 (10.0.0.1:7443) is gone'],
  ['db10: another node', 'db10: another node'],
  ['restore-1 is on db1', 'restore-1 is on db1'],
])('the message %j does not name its node twice: %j', (message, bare) => {
  const error = new StillpointError('NODE_UNREACHABLE', message, { node: 'db1', hint: 'h' });
  expect(withoutNode(error)).toMatchObject({ code: 'NODE_UNREACHABLE', node: 'db1', hint: 'h', message: bare });
});
