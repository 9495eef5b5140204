import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { entryOf, type ScannedEntry } from './entry.ts';
import { readAtRest } from './read-file.ts';

let home: string;
let locks: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'stillpoint-read-'));
  locks = join(home, 'tablelocks');
  writeFileSync(locks, 'at first');
});
afterEach(() => rmSync(home, { recursive: true }));

const entry = (): ScannedEntry => entryOf('file', 'tablelocks', statSync(locks, { bigint: true }));

test('a file that is written now and then is read as it came to rest', () => {
  let writes = 0;
  const read = readAtRest(locks, entry(), () => {
    writes += 1;
    if (writes <= 5) writeFileSync(locks, 'x'.repeat(writes));
  });
  expect([read.content.toString(), read.entry.size, writes]).toEqual(['xxxxx', 5, 6]);
});

test('a file that is written without an end fails the capture', () => {
  let writes = 0;
  const reading = () => readAtRest(locks, entry(), () => writeFileSync(locks, String(++writes)));
  expect(reading).toThrow(`${locks} did not come to rest while the engine was suspended`);
  expect(writes).toBeGreaterThan(10);
});

test('a file that is put in the place of another by itself is not at rest', () => {
  let times = 0;
  const read = readAtRest(locks, entry(), () => {
    times += 1;
    if (times > 1) return;
    rmSync(locks);
    writeFileSync(locks, 'at first');
  });
  expect([read.content.toString(), times]).toEqual(['at first', 2]);
});
