/** What the demo knows at its end. */
export interface Summary {
  readonly ok: boolean;
  /** Milliseconds that writers waited, as the client measured it and as Stillpoint reported it. */
  readonly block: Readonly<Record<string, number>>;
  /** Bytes. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Milliseconds. */
  readonly times: Readonly<Record<string, number>>;
  readonly checks: readonly Check[];
  /** Why it ended early; absent when it did not. */
  readonly error?: string;
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was seen. */
  readonly seen: string;
}

/** How the demo speaks to whoever watches. */
export interface Teller {
  /** A sentence. */
  say(text: string): void;
  /** A step begins; the function is called at its end. `outcome` is what a person wants to know of it. */
  step(title: string): (outcome: string, ok?: boolean) => void;
  summary(summary: Summary): void;
}

/** For machines: one JSON text per line, each with a type; the last one is the summary. */
export function jsonTeller(): Teller {
  const write = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
  return {
    say: (text) => write({ type: 'say', text }),
    step: (title) => {
      const startedAt = performance.now();
      return (outcome, ok = true) => write({ type: 'step', title, ok, outcome, ms: Math.round(performance.now() - startedAt) });
    },
    summary: ({ ok, block, sizes, times, checks, error }) =>
      write({
        type: 'summary',
        ok,
        block: rounded(block),
        sizes,
        times: rounded(times),
        checks,
        ...(error === undefined ? {} : { error }),
      }),
  };
}

const rounded = (values: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Math.round(value)]));

/** For people. */
export function textTeller(): Teller {
  const out = process.stdout;
  const live = out.isTTY === true;
  const paint = (code: number, text: string): string =>
    live && process.env.NO_COLOR === undefined ? `\u001b[${code}m${text}\u001b[0m` : text;
  const tick = (ok: boolean): string => (ok ? paint(32, '✓') : paint(31, '✗'));
  const write = (text: string): void => void out.write(`${text}\n`);
  return {
    say: (text) => write(text === '' ? '' : `\n${paint(1, text)}`),
    step: (title) => {
      const startedAt = performance.now();
      if (live) out.write(`  … ${title}`);
      return (outcome, ok = true) => {
        if (live) out.write('\r\u001b[2K');
        write(`  ${tick(ok)} ${title.padEnd(45)} ${seconds(performance.now() - startedAt).padStart(7)}   ${paint(2, outcome)}`);
      };
    },
    summary: (summary) => {
      for (const line of tableLines(summary, tick)) write(line);
      write('');
      write(
        summary.ok
          ? paint(32, 'Every check held.')
          : paint(31, `The demo failed${summary.error === undefined ? '.' : `: ${summary.error}`}`),
      );
    },
  };
}

/** What was measured and checked, under headings; a demo that ended early has nothing to say under some. */
export function tableLines({ block, sizes, times, checks }: Summary, tick: (ok: boolean) => string): string[] {
  const section = (title: string, lines: readonly string[]): string[] => (lines.length === 0 ? [] : ['', title, ...lines]);
  const rows = (values: Readonly<Record<string, number>>, unit: (value: number) => string): string[] =>
    Object.entries(values).map(([name, value]) => `    ${wordsOf(name).padEnd(40)} ${unit(value).padStart(10)}`);
  return [
    ...section('  Writers waited', rows(block, milliseconds)),
    ...section('  Sizes', rows(sizes, megabytes)),
    ...section('  Times', rows(times, seconds)),
    ...section(
      '  Checks',
      checks.map(({ name, ok, seen }) => `  ${tick(ok)} ${name.padEnd(58)} ${seen}`),
    ),
  ];
}

/** `storedOnAllNodes` as words. */
const wordsOf = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const milliseconds = (ms: number): string => `${Math.round(ms)} ms`;
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
