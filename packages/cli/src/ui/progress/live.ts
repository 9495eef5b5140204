import type { Clock } from '@stillpoint/shared/time';
import { formatDuration } from '@stillpoint/shared/time';
import type { LogLevel } from '../renderer.ts';
import type { Style } from '../style.ts';
import { cut } from '../table.ts';
import { board } from './board.ts';
import { eventLines, levelOf, shows } from './plain.ts';
import type { Progress } from './progress.ts';

/** Time between two drawings, ms: quick enough to look alive, slow enough not to cost anything. */
const REDRAW_EVERY_MS = 120;

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[J';
const up = (lines: number): string => (lines === 0 ? '' : `\u001b[${lines}A`);

/** A terminal: what is written to, and how high it is. */
type Terminal = NodeJS.WritableStream & { readonly rows?: number; readonly columns?: number };

/**
 * One line per node, redrawn in place below the lines that stay. The cursor is hidden meanwhile and shown again by
 * `close`, and when the process exits without it.
 */
export function liveProgress(terminal: Terminal, level: LogLevel, style: Style, clock: Clock): Progress {
  const now = board();
  let drawn = 0;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let failed = false;

  const draw = (above: readonly string[]): void => {
    const width = terminal.columns ?? style.width ?? 80;
    const lines = closed ? [] : now.lines(clock.monotonicMs(), style).slice(0, Math.max(1, (terminal.rows ?? 24) - 1));
    const text = [...above, ...lines.map((line) => cut(line, width - 1, style))].map((line) => `${line}\n`).join('');
    terminal.write(drawn === 0 ? text : `\r${up(drawn)}${CLEAR_BELOW}${text}`);
    drawn = lines.length;
  };
  const showCursor = (): void => {
    terminal.write(SHOW_CURSOR);
  };
  const start = (): void => {
    if (timer !== undefined || closed) return;
    terminal.write(HIDE_CURSOR);
    process.once('exit', showCursor);
    timer = setInterval(() => draw([]), REDRAW_EVERY_MS);
    timer.unref();
  };
  return {
    event: (event) => {
      if (closed) return;
      start();
      now.update(event, clock.monotonicMs());
      if (event.type === 'phase') failed = false;
      if (event.type === 'step' && event.state === 'failed') failed = true;
      const stays = event.type !== 'progress' && event.type !== 'phase' && !(event.type === 'step' && event.state !== 'failed');
      if (stays && shows(level, levelOf(event)))
        draw(event.type === 'phase-ended' ? [phaseLine(event, failed, style)] : eventLines(event, style));
    },
    print: draw,
    close: () => {
      if (closed) return;
      closed = true;
      if (timer === undefined) return;
      clearInterval(timer);
      draw([]);
      // Sets the answer off from the commentary.
      terminal.write('\n');
      showCursor();
      process.off('exit', showCursor);
    },
  };
}

function phaseLine({ phase, ms }: { phase: string; ms: number }, failed: boolean, style: Style): string {
  const mark = failed ? style.paint('red', style.unicode ? '✗' : 'x') : style.paint('green', style.unicode ? '✓' : '+');
  return `${mark} ${phase.padEnd(10)} ${style.paint('dim', formatDuration(ms))}`;
}
