import type { Style } from './ui/style.ts';

/** What a destination of pino takes: one JSON record a call. */
export interface RecordSink {
  write(record: string): void;
}

const LEVELS: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' };

/** Shows records of pino as lines for a person at a terminal; the time of day is local. */
export function prettySink(stream: NodeJS.WritableStream, style: Style): RecordSink {
  return {
    write: (record) => {
      const { level, time, msg, ...rest } = JSON.parse(record) as { level: number; time: number; msg?: string; [field: string]: unknown };
      const name = LEVELS[level] ?? String(level);
      const fields = Object.entries(rest).map(([key, value]) =>
        style.paint('dim', `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`),
      );
      const mark = level >= 50 ? style.paint('red', name) : level >= 40 ? style.paint('yellow', name) : name;
      stream.write(`${[new Date(time).toTimeString().slice(0, 8), mark, msg ?? '', ...fields].join(' ')}\n`);
    },
  };
}
