import { expect, it } from 'vitest';
import { user } from '../../fixture/command-line.ts';
import { styleOf } from '../style.ts';
import { certificateText } from './setup.ts';

it('SQL with a placeholder says so, where it is read; a program gets the statements alone', async () => {
  const { type, json } = user();
  const { stdout } = await type('agent', 'grants');
  expect(stdout).toMatch(/^-- Replace <password> before you run this\.\nCREATE USER .* IDENTIFIED BY '<password>';\n/);
  expect((await json('agent', 'grants')).lines).toMatchObject([{ sql: expect.not.arrayContaining([expect.stringContaining('Replace')]) }]);
  expect((await type('agent', 'grants', '--unix-socket')).stdout).not.toContain('<password>');
});

it('the certificate of an agent is to be copied to its node', () => {
  const files = { ca: '/pki/ca.crt', cert: '/pki/db1.crt', key: '/pki/db1.key', expiresAt: '2029-02-23T09:15:00.000Z' };
  const shown = (role: 'agent' | 'controller') =>
    certificateText({ type: 'certificate', role, name: 'db1', cluster: 'shop', ...files }, styleOf({}, {}, false)).join('\n');
  expect(shown('agent')).toContain('Copy these three files to the node db1.');
  expect(shown('controller')).not.toContain('Copy');
});
