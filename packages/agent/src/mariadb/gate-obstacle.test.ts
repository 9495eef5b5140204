import { expect, test } from 'vitest';
import { isStaged } from './gate-obstacle.ts';

test.each(['10.11.8', '10.11.19-MariaDB', '11.0.6', '11.1.5', '11.2.4', '11.4.2', '11.4.7-MariaDB', '11.8.1', '12.0.2'])(
  'mariadb-backup %s goes through its stages one by one',
  (version) => expect(isStaged(version)).toBe(true),
);

test.each(['10.5.27-MariaDB', '10.6.21', '10.11.7-MariaDB', '11.0.5', '11.1.4', '11.2.3', '11.3.2', '11.4.1', 'unknown', ''])(
  'mariadb-backup %s does not',
  (version) => expect(isStaged(version)).toBe(false),
);
