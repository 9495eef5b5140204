import { styleText } from 'node:util';

type Look = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** How text may look on one stream. */
export interface Style {
  /** The text in a look; unchanged where colours are off. */
  paint(look: Look, text: string): string;
  /** Columns of the terminal; undefined where lines may be as long as they like. */
  readonly width: number | undefined;
  /** False where only ASCII is safe. */
  readonly unicode: boolean;
}

/** What a style is made from; a stream of the process fits. */
interface Surface {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/**
 * The style of a stream: colours on a terminal only, and not when `colour` is false, NO_COLOR is set (to anything)
 * or the terminal is dumb; box characters when the locale says UTF-8.
 */
export function styleOf(surface: Surface, env: NodeJS.ProcessEnv, colour: boolean): Style {
  const tty = surface.isTTY === true;
  const colours = colour && tty && !env.NO_COLOR && env.TERM !== 'dumb';
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
  return {
    paint: (look, text) => (colours && text !== '' ? styleText(look, text, { validateStream: false }) : text),
    width: tty ? (surface.columns ?? 80) : undefined,
    unicode: /utf-?8/i.test(locale),
  };
}

/** A bar of `width` cells, filled by `share` (0 to 1) of its length. */
export function bar(share: number, width: number, style: Pick<Style, 'unicode'>): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
  return (style.unicode ? '█' : '#').repeat(filled);
}

/** A bar with its empty part shown, for work under way. */
export function gauge(share: number, width: number, style: Pick<Style, 'unicode'>): string {
  // Full only when all is done.
  const done = bar(share < 1 ? Math.min(share, 1 - 1 / width) : 1, width, style);
  return done + (style.unicode ? '░' : '.').repeat(width - done.length);
}
