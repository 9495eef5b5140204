import { expect, test } from 'vitest';
import { currentGtidPosition, isGtidPosition, replicationCommands, sameGtidPosition } from './index.ts';

test('positions are compared without regard to order, and by all of their domains', () => {
  expect(sameGtidPosition('0-1-5,7-2-9', '7-2-9, 0-1-5')).toBe(true);
  expect(sameGtidPosition('0-1-5', '0-1-5,7-2-9')).toBe(false);
  expect(sameGtidPosition('', '')).toBe(true);
  expect(sameGtidPosition('', '0-1-5')).toBe(false);
});

test.each(["0-1-5'; DROP TABLE t; --", '0-1', '0-1-5,', ',', '0-1-5;7-1-1'])('%s is no position', (text) => {
  expect(isGtidPosition(text)).toBe(false);
  expect(sameGtidPosition(text, text)).toBe(false);
});

test('a server stands, per domain, at the later one of logged and replicated', () => {
  expect(currentGtidPosition('0-2-100', '0-1-90')).toBe('0-2-100');
  expect(currentGtidPosition('0-2-80', '0-1-90,7-1-3')).toBe('0-1-90,7-1-3');
  expect(currentGtidPosition('', '0-1-18446744073709551615')).toBe('0-1-18446744073709551615');
});

test('the printed SQL quotes what it is given and holds no password', () => {
  const [change, start] = replicationCommands({ host: "o'hara", port: 3306, user: 'repl' });
  expect(change).toBe(
    "CHANGE MASTER TO MASTER_HOST='o''hara', MASTER_PORT=3306, MASTER_USER='repl', MASTER_PASSWORD='<password>', MASTER_USE_GTID=slave_pos;",
  );
  expect(start).toBe('START SLAVE;');
});
