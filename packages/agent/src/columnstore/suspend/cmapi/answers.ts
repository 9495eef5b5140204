/** What cmapi answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * The value of a successful answer. Throws an Error with the words of cmapi for any other: `{"error": TEXT}` of its handlers,
 * `{"error": {"message": TEXT}}` of its server, or something else altogether. Pure.
 */
export function successOf({ status, body }: HttpAnswer): Readonly<Record<string, unknown>> {
  const value = parsed(body);
  if (status === 200 && value !== undefined && !('error' in value)) return value;
  throw new Error(`cmapi answered ${status}: ${errorText(value) ?? shortened(body)}`);
}

/**
 * Throws unless the answer to `mode-set` says that this very mode was set. Even then it need not be: with controllernode out of reach,
 * cmapi takes its own failure for `readonly`. Pure.
 */
export function requireMode(answer: HttpAnswer, mode: 'readonly' | 'readwrite'): void {
  const set = successOf(answer)['cluster-mode'];
  if (set !== mode) throw new Error(`cmapi answered 200, but not that the mode is ${mode}: ${shortened(answer.body)}`);
}

function errorText(value: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const error = value?.error;
  if (typeof error === 'string') return error;
  const message = error instanceof Object && 'message' in error ? error.message : undefined;
  return typeof message === 'string' ? message : undefined;
}

function parsed(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return value instanceof Object && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

const shortened = (body: string): string => {
  const line = body.replaceAll(/\s+/g, ' ').trim();
  if (line === '') return 'nothing';
  return line.length > LONGEST ? `${line.slice(0, LONGEST)} ...` : line;
};

const LONGEST = 300;
