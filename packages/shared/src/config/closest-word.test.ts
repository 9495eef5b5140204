import { describe, expect, it } from 'vitest';
import { closestWord } from './index.ts';

const known = ['passwordFile', 'socket', 'user', 'defaultsFile', 'tls'];

describe('closestWord', () => {
  it.each([
    ['passwrdFile', 'passwordFile'],
    ['passwordfile', 'passwordFile'],
    ['PASSWORDFILE', 'passwordFile'],
    ['sokcet', 'socket'],
    ['users', 'user'],
    ['tsl2', undefined],
    ['tl', 'tls'],
    ['everything', undefined],
    ['', undefined],
  ])('%s means %s', (word, meant) => expect(closestWord(word, known)).toBe(meant));

  it('means nothing when nothing is known', () => expect(closestWord('user', [])).toBeUndefined());
});
