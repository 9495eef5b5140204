import { stripVTControlCharacters } from 'node:util';
import type { OperationEvent } from '@stillpoint/controller';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Captured, standingClock } from '../../fixture/command-line.ts';
import { styleOf } from '../style.ts';
import { board } from './board.ts';
import { liveProgress } from './live.ts';
import { plainProgress } from './plain.ts';
import { rateMeter } from './rate.ts';

const MIB = 1024 ** 2;
const style = styleOf({}, { LANG: 'C.UTF-8' }, false);
const progress = (node: string, done: number, total: number): OperationEvent => ({
  ...{ type: 'progress', node, step: 'capture' },
  bytesDone: done * MIB,
  bytesTotal: total * MIB,
});
const step = (node: string, state: 'started' | 'succeeded' | 'failed'): OperationEvent => ({ type: 'step', node, step: 'capture', state });

const retry: OperationEvent = {
  ...{ type: 'retry', attempt: 1, attempts: 5, waitMs: 5_000, node: 'db2' },
  message: 'the lock was not granted within 5.00 s',
  blockers: [
    {
      connectionId: 4711,
      user: 'app',
      host: '10.0.0.9',
      ageMs: 93_400,
      command: 'Query',
      statement: 'UPDATE orders\n  SET x = 1',
      lockMode: 'MDL_BACKUP_TRANS_DML',
    },
    { connectionId: 12, user: 'batch', host: 'localhost', ageMs: 7_000, command: 'Sleep', statement: '', lockMode: '' },
  ],
  tableLocks: [],
};

describe('the rate meter', () => {
  it('knows the rate of the last seconds, and how long it will take', () => {
    const meter = rateMeter(5_000);
    meter.record(0, 0);
    expect(meter.perSecond()).toBeUndefined();
    for (const second of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) meter.record(second < 6 ? second * 10 : 50 + (second - 5) * 100, second * 1000);
    expect(meter.perSecond()).toBe(100);
    expect(meter.remainingMs(850)).toBe(3_000);
  });

  it('does not promise an end while nothing moves', () => {
    const meter = rateMeter();
    meter.record(10, 0);
    meter.record(10, 1000);
    expect(meter.remainingMs(20)).toBeUndefined();
  });

  it('starts over with a new step', () => {
    const meter = rateMeter();
    meter.record(500, 0);
    meter.record(900, 1000);
    meter.record(10, 2000);
    expect(meter.perSecond()).toBeUndefined();
  });
});

describe('the board', () => {
  it('shows bytes, share, rate and the end in sight for each node', () => {
    const now = board();
    now.update({ type: 'phase', phase: 'capture' }, 0);
    for (const node of ['db1', 'db22']) now.update(step(node, 'started'), 0);
    now.update(progress('db1', 0, 1280), 0);
    now.update(progress('db1', 400, 1280), 2_000);
    expect(now.lines(2_000, style)).toMatchInlineSnapshot(`
      [
        "capture 2.00 s",
        "  db1   capture  █████░░░░░░░░░░░  400 MiB of 1.25 GiB  31 %  200 MiB/s  ETA 5 s",
        "  db22  capture  2.00 s",
      ]
    `);
    now.update(step('db1', 'succeeded'), 3_000);
    now.update(step('db22', 'failed'), 3_000);
    expect(now.lines(3_000, style).slice(1)).toEqual(['  db1   capture  done', '  db22  capture  failed']);
    now.update({ type: 'phase-ended', phase: 'capture', ms: 3_000 }, 3_000);
    expect(now.lines(3_000, style)).toEqual([]);
  });
});

describe('plain progress', () => {
  it('has a line with a time for the start and end of each phase and step', () => {
    const stream = new Captured();
    const plain = plainProgress(stream, 'info', style, standingClock());
    plain.event({ type: 'phase', phase: 'capture' });
    plain.event(step('db1', 'started'));
    plain.event(progress('db1', 1, 2));
    plain.event({ ...step('db1', 'succeeded'), ms: 1_234 } as OperationEvent);
    plain.event({ type: 'phase-ended', phase: 'capture', ms: 1_240 });
    expect(stream.text).toMatchInlineSnapshot(`
      "2026-11-21T09:15:00.000Z phase capture started
      2026-11-21T09:15:00.000Z db1 capture started
      2026-11-21T09:15:00.000Z db1 capture succeeded (1.23 s)
      2026-11-21T09:15:00.000Z phase capture ended (1.24 s)
      "
    `);
  });

  it('shows who was in the way, as a table', () => {
    const stream = new Captured();
    plainProgress(stream, 'warn', style, standingClock()).event(retry);
    expect(stream.text).toMatchInlineSnapshot(`
      "2026-11-21T09:15:00.000Z db2 attempt 1 of 5: the lock was not granted within 5.00 s; everything is released, again in 5.00 s
      2026-11-21T09:15:00.000Z     id  user@host        seconds  lock                  statement
      2026-11-21T09:15:00.000Z   4711  app@10.0.0.9        93.4  MDL_BACKUP_TRANS_DML  UPDATE orders SET x = 1
      2026-11-21T09:15:00.000Z     12  batch@localhost      7.0                        (Sleep)
      "
    `);
  });

  it('tells of bytes now and then', () => {
    const [stream, clock] = [new Captured(), standingClock()];
    const plain = plainProgress(stream, 'info', style, clock);
    for (const done of [1, 2, 3, 4, 5, 6, 7]) {
      plain.event(progress('db1', done, 10));
      clock.move(10_000);
    }
    expect(stream.text.match(/capture .* of 10.0 MiB \(\d+ %\)/g)).toEqual([
      'capture 4.00 MiB of 10.0 MiB (40 %)',
      'capture 7.00 MiB of 10.0 MiB (70 %)',
    ]);
  });

  it('says what its level allows, and no more', () => {
    const stream = new Captured();
    const plain = plainProgress(stream, 'error', style, standingClock());
    for (const event of [{ type: 'phase', phase: 'capture' } as const, step('db1', 'started'), retry]) plain.event(event);
    expect(stream.text).toBe('');
    plain.event(step('db1', 'failed'));
    expect(stream.text).toContain('db1 capture failed');
  });
});

describe('live progress', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const HIDE = '\u001b[?25l';
  const SHOW = '\u001b[?25h';

  function atTerminal(columns: number) {
    const terminal = new Captured({ columns });
    return { terminal, live: liveProgress(terminal, 'info', style, standingClock()) };
  }

  it('redraws one line per node in place', () => {
    const { terminal, live } = atTerminal(80);
    live.event({ type: 'phase', phase: 'capture' });
    for (const node of ['db1', 'db2']) live.event(progress(node, 1, 4));
    vi.advanceTimersByTime(130);
    terminal.text = '';
    live.event(progress('db1', 2, 4));
    vi.advanceTimersByTime(130);
    expect(terminal.text.startsWith('\r\u001b[3A\u001b[J')).toBe(true);
    expect(terminal.text.match(/db1/g)).toHaveLength(1);
    expect(terminal.text).toContain('2.00 MiB of 4.00 MiB  50 %');
    live.close();
  });

  it('never writes a line that the terminal would wrap', () => {
    const { terminal, live } = atTerminal(30);
    live.event({ type: 'phase', phase: 'capture' });
    live.event(progress('db1', 1, 4));
    vi.advanceTimersByTime(130);
    const lines = stripVTControlCharacters(terminal.text).replaceAll('\r', '').split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(30);
    live.close();
  });

  it('leaves finished phases standing, and gives the cursor back', () => {
    const { terminal, live } = atTerminal(80);
    live.event({ type: 'phase', phase: 'capture' });
    live.event({ type: 'phase-ended', phase: 'capture', ms: 5_480 });
    live.close();
    live.close();
    expect(terminal.text).toContain('✓ capture    5.48 s\n');
    expect(terminal.text.split(HIDE)).toHaveLength(2);
    expect(terminal.text.split(SHOW)).toHaveLength(2);
    expect(terminal.text.indexOf(SHOW)).toBeGreaterThan(terminal.text.indexOf(HIDE));
  });

  it('does not tick off a phase in which a node failed', () => {
    const { terminal, live } = atTerminal(80);
    for (const attempt of ['failed', 'succeeded'] as const) {
      live.event({ type: 'phase', phase: 'quiesce' });
      live.event(step('db1', attempt));
      live.event({ type: 'phase-ended', phase: 'quiesce', ms: 1_000 });
    }
    live.close();
    expect(terminal.text.match(/[✓✗] quiesce/g)).toEqual(['✗ quiesce', '✓ quiesce']);
  });

  it('gives the cursor back when the process exits in the middle', () => {
    const before = process.listeners('exit');
    const { terminal, live } = atTerminal(80);
    live.event({ type: 'phase', phase: 'capture' });
    const [added] = process.listeners('exit').filter((listener) => !before.includes(listener));
    added?.(130);
    expect(terminal.text.endsWith(SHOW)).toBe(true);
    live.close();
    expect(process.listeners('exit')).toEqual(before);
  });

  it('leaves a terminal alone on which nothing happens', () => {
    const { terminal, live } = atTerminal(80);
    live.close();
    expect(terminal.text).toBe('');
  });
});
