import type { OperationEvent } from '@stillpoint/controller';
import { formatDuration } from '@stillpoint/shared/time';
import { gauge, type Style } from '../style.ts';
import { formatBytes, formatRate, formatShare } from '../units.ts';
import { type RateMeter, rateMeter } from './rate.ts';

interface Row {
  step: string;
  state: 'running' | 'succeeded' | 'failed';
  bytesDone: number;
  bytesTotal: number;
  sinceMs: number;
  meter: RateMeter;
}

/** What is going on right now: the phase of the cluster and the step of each node. */
export interface Board {
  /** Takes an event in, at a moment of the monotonic clock, ms. */
  update(event: OperationEvent, nowMs: number): void;
  /** The present state, one line for the phase and one for each node; none when nothing runs. */
  lines(nowMs: number, style: Style): readonly string[];
}

const GAUGE_WIDTH = 16;

/** An empty board. */
export function board(): Board {
  const rows = new Map<string, Row>();
  let phase: { name: string; sinceMs: number } | undefined;

  const begin = (node: string, step: string, nowMs: number): Row => {
    const row: Row = { step, state: 'running', bytesDone: 0, bytesTotal: 0, sinceMs: nowMs, meter: rateMeter() };
    rows.set(node, row);
    return row;
  };
  return {
    update: (event, nowMs) => {
      if (event.type === 'phase') {
        phase = { name: event.phase, sinceMs: nowMs };
        rows.clear();
      } else if (event.type === 'phase-ended') {
        phase = undefined;
        rows.clear();
      } else if (event.type === 'step') {
        const row =
          event.state === 'started' ? begin(event.node, event.step, nowMs) : (rows.get(event.node) ?? begin(event.node, event.step, nowMs));
        if (event.state !== 'started') row.state = event.state;
      } else if (event.type === 'progress') {
        const known = rows.get(event.node);
        const row = known?.state === 'running' ? known : begin(event.node, event.step, nowMs);
        Object.assign(row, { step: event.step, bytesDone: event.bytesDone, bytesTotal: event.bytesTotal });
        row.meter.record(event.bytesDone, nowMs);
      }
    },
    lines: (nowMs, style) => {
      if (phase === undefined && rows.size === 0) return [];
      const widths = { node: widest(rows.keys()), step: widest([...rows.values()].map((row) => row.step)) };
      const nodes = [...rows].map(
        ([node, row]) => `  ${node.padEnd(widths.node)}  ${row.step.padEnd(widths.step)}  ${rowText(row, nowMs, style)}`,
      );
      return phase === undefined ? nodes : [`${style.paint('bold', phase.name)} ${formatDuration(nowMs - phase.sinceMs)}`, ...nodes];
    },
  };
}

const widest = (texts: Iterable<string>): number => Math.max(0, ...[...texts].map((text) => text.length));

/** Whole seconds, as more than that would be a guess. */
const formatSeconds = (ms: number): string => (ms < 60_000 ? `${Math.ceil(ms / 1000)} s` : formatDuration(ms));

function rowText(row: Row, nowMs: number, style: Style): string {
  if (row.state === 'succeeded') return style.paint('green', 'done');
  if (row.state === 'failed') return style.paint('red', 'failed');
  if (row.bytesDone === 0 && row.bytesTotal === 0) return formatDuration(nowMs - row.sinceMs);
  const rate = row.meter.perSecond();
  const remaining = row.bytesTotal > 0 ? row.meter.remainingMs(row.bytesTotal) : undefined;
  return [
    row.bytesTotal > 0 ? gauge(row.bytesDone / row.bytesTotal, GAUGE_WIDTH, style) : '',
    row.bytesTotal > 0 ? `${formatBytes(row.bytesDone)} of ${formatBytes(row.bytesTotal)}` : formatBytes(row.bytesDone),
    formatShare(row.bytesDone, row.bytesTotal),
    rate === undefined ? '' : formatRate(rate),
    remaining === undefined || remaining === 0 ? '' : `ETA ${formatSeconds(remaining)}`,
  ]
    .filter((piece) => piece !== '')
    .join('  ');
}
