import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newFileKey, opening, Sealer } from './index.ts';
import { Keyring } from './keyring.ts';

const CHUNK = 64 * 1024;
/** Around every border of a chunk: what goes wrong, goes wrong there. */
const BORDERS = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 5 * CHUNK, 5 * CHUNK + 77];

let home: string;
let identity: string;
let recipient: string;
let keyring: Keyring;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-sealing-'));
  identity = await generateX25519Identity();
  recipient = await identityToRecipient(identity);
  keyring = await Keyring.of([identity]);
  writeFileSync(join(home, 'identity'), `${identity}\n`, { mode: 0o600 });
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const cut = function* (data: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, index = 0; at < data.length; index += 1) {
    const size = Math.max(1, sizes[index % sizes.length] ?? data.length);
    yield data.subarray(at, at + size);
    at += size;
  }
};

async function sealed(content: Uint8Array, sizes: readonly number[], recipients = [recipient]): Promise<Buffer> {
  const sealer = new Sealer(await newFileKey(recipients));
  // What it gives is good until the next call only.
  const pieces = [...cut(content, sizes)].map((piece) => Buffer.from(sealer.update(piece)));
  return Buffer.concat([...pieces, Buffer.from(sealer.final())]);
}

/** With the identity; `null` for a node without any. */
const opened = async (file: Uint8Array, sizes: readonly number[] = [100_000], keys: Keyring | null = keyring): Promise<Buffer> =>
  buffer(
    opening(
      (async function* () {
        yield* cut(file, sizes);
      })(),
      keys ?? undefined,
      'x.age',
    ),
  );

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 3 * CHUNK })), { minLength: 1, maxLength: 5 });
const lengths = fc.oneof(fc.constantFrom(...BORDERS), fc.integer({ min: 0, max: 4 * CHUNK }));

describe('what is sealed', () => {
  test('is opened by the library of age, whatever its size and its pieces', async () => {
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    await fc.assert(
      fc.asyncProperty(lengths, sizes, async (length, inPieces) => {
        const content = randomBytes(length);
        expect(content.equals(await decrypter.decrypt(await sealed(content, inPieces)))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('is opened by the program age, for each of several recipients', async () => {
    const other = await generateX25519Identity();
    writeFileSync(join(home, 'other'), `# a comment\n${other}\n`, { mode: 0o600 });
    for (const length of BORDERS) {
      const content = randomBytes(length);
      writeFileSync(join(home, 'x.age'), await sealed(content, [70_001], [recipient, await identityToRecipient(other)]));
      for (const key of ['identity', 'other']) {
        const out = execFileSync('age', ['-d', '-i', join(home, key), join(home, 'x.age')], { maxBuffer: 1 << 26 });
        expect(content.equals(out)).toBe(true);
      }
    }
  });

  test('never looks the same twice', async () => {
    const content = Buffer.alloc(100);
    expect((await sealed(content, [100])).equals(await sealed(content, [100]))).toBe(false);
  });

  test('is refused for a recipient that is none, and for nobody', async () => {
    await expect(newFileKey([`${recipient.slice(0, -1)}!`])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(newFileKey([])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('what others have sealed is opened', () => {
  test('of the library, whatever its size and the pieces', async () => {
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    await fc.assert(
      fc.asyncProperty(lengths, sizes, async (length, inPieces) => {
        const content = randomBytes(length);
        expect(content.equals(await opened(await encrypter.encrypt(content), inPieces))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('of the program age, at every border of a chunk', async () => {
    for (const length of BORDERS) {
      const content = randomBytes(length);
      writeFileSync(join(home, 'plain'), content);
      execFileSync('age', ['-r', recipient, '-o', join(home, 'x.age'), join(home, 'plain')]);
      expect(content.equals(await opened(readFileSync(join(home, 'x.age')), [4096]))).toBe(true);
    }
  });
});

describe('what is damaged', () => {
  test('is found wherever a bit is another, and wherever it ends too early', async () => {
    const content = randomBytes(2 * CHUNK + 5);
    const file = await sealed(content, [content.length]);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: file.length - 1 }), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
        const damaged = Buffer.from(file);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
        // A damaged name of the recipient looks like that of another one.
        await expect(opened(damaged)).rejects.toThrow(/Damaged|damaged|not what was encrypted|for others than|not begin|header/);
        await expect(opened(file.subarray(0, at))).rejects.toMatchObject({ name: 'Damaged' });
      }),
      { numRuns: 80 },
    );
    await expect(opened(Buffer.concat([file, Buffer.of(0)]))).rejects.toMatchObject({ name: 'Damaged' });
  });

  test('is found when whole chunks are missing at the end', async () => {
    const content = randomBytes(3 * CHUNK);
    const file = await sealed(content, [CHUNK]);
    await expect(opened(file.subarray(0, file.length - CHUNK - 16))).rejects.toMatchObject({
      name: 'Damaged',
      message: expect.stringContaining(`from byte ${CHUNK} of its content`),
    });
  });
});

describe('without the right identity', () => {
  test('is said so, by the name of the file', async () => {
    const file = await sealed(randomBytes(10), [10]);
    await expect(opened(file, [10], null)).rejects.toMatchObject({ code: 'KEY_MISSING' });
    const stranger = await Keyring.of([await generateX25519Identity()]);
    await expect(opened(file, [10], stranger)).rejects.toMatchObject({
      code: 'KEY_MISSING',
      message: expect.stringContaining(`x.age is encrypted for others than the identities of this agent (${stranger.recipients[0]})`),
    });
  });

  test('one of several is enough', async () => {
    const file = await sealed(Buffer.from('content'), [10]);
    const keys = await Keyring.of([await generateX25519Identity(), identity]);
    expect((await opened(file, [10], keys)).toString()).toBe('content');
  });
});
