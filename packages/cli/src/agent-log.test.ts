import { pino } from 'pino';
import { expect, it } from 'vitest';
import { prettySink } from './agent-log.ts';
import { Captured } from './fixture/command-line.ts';
import { styleOf } from './ui/style.ts';

it('shows log records as lines', () => {
  const stream = new Captured();
  const log = pino({ base: null }, prettySink(stream, styleOf({}, {}, false)));
  log.info({ node: 'db1', held: { ms: 12 } }, 'agent is ready');
  log.child({ operation: 'backup-1' }).error('it broke');
  const lines = stream.text.replaceAll(/^\d\d:\d\d:\d\d/gm, 'TIME').split('\n');
  expect(lines).toEqual(['TIME info agent is ready node=db1 held={"ms":12}', 'TIME error it broke operation=backup-1', '']);
});
