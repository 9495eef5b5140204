import { expect, test } from 'vitest';
import { parseDbrmStatus } from './dbrm-status.ts';

test.each([
  ['OK.\n', 'read-write', false],
  ['OK. (and the system is ready)\n', 'read-write', true],
  ['OK. (but the system is not ready)\n', 'read-write', false],
  ['DBRM is currently Read Only!\n', 'read-only', false],
  ['Failure: an unspecific communication error.\n', 'unreachable', false],
  ['Failure: controller node timed out.\n', 'unreachable', false],
])('%j means %s', (stdout, mode, ready) => expect(parseDbrmStatus(stdout)).toEqual({ mode, ready, text: stdout.trimEnd() }));

test.each([
  '',
  '\n',
  'OK',
  'ok.\n',
  ' OK.\n',
  'OK. \n',
  'OK.\nOK.\n',
  'DBRM is currently Read Only!\nOK.\n',
  'DBRM is currently Read Only\n',
  'Failure: an unexpected error (7)\n',
  'System is ready\n',
  'constructor',
  '__proto__',
])('%j means nothing certain', (stdout) => expect(parseDbrmStatus(stdout)).toMatchObject({ mode: 'unknown', ready: false }));

test('silence is told as such', () => expect(parseDbrmStatus('').text).toBe('dbrmctl said nothing'));
