import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseKey, readKey } from './key.ts';

describe('the API key', () => {
  test.each([
    ["[Authentication]\nx-api-key = 'somekey123'\n", 'somekey123'],
    ['[global]\na = 1\n\n[Authentication]\r\nx-api-key: "k"\r\n', 'k'],
    ['[Authentication]\nX-API-KEY=12345\n', '12345'],
    ["[Authentication]\n# x-api-key = 'old'\nx-api-key = 'new'\n[other]\nx-api-key = 'not this'\n", 'new'],
  ])('is that of %j', (text, key) => expect(parseKey(text)).toBe(key));

  test.each([
    ['', 'an empty file'],
    ['[global]\nserver.socket_port = 8640\n', 'a file without that section'],
    ["x-api-key = 'k'\n", 'a file without sections'],
    ["[Authentication]\nx-api-key = ''\n", 'a file with an empty key'],
    ['[Authentication]\nx-api-key =\n', 'a file with none'],
    ["[Authentication]\n;x-api-key = 'k'\n", 'a file with a comment'],
    ["[Authentication]\nmy-x-api-key = 'k'\n", 'a file with another setting'],
  ])('is not in %s (%s)', (text) => expect(parseKey(text)).toBeUndefined());

  test('cannot be read from a file that is missing', async () => {
    await expect(readKey(join(import.meta.dirname, 'no-such.conf'))).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      message: expect.stringContaining('no-such.conf'),
      hint: expect.stringContaining('columnstore.suspend: dbrmctl'),
    });
  });
});
