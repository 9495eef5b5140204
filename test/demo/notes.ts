import type { Check, Teller } from './teller.ts';

/** What the story has brought to light so far. */
export interface Notes {
  readonly block: Record<string, number>;
  readonly sizes: Record<string, number>;
  readonly times: Record<string, number>;
  readonly checks: Check[];
}

/** Nothing yet. */
export const noNotes = (): Notes => ({ block: {}, sizes: {}, times: {}, checks: [] });

/** A step of the story, told at its beginning and its end. Throws what it throws. */
export async function step<T>(teller: Teller, title: string, run: () => Promise<T>, outcome: (result: T) => string): Promise<T> {
  const done = teller.step(title);
  try {
    const result = await run();
    done(outcome(result));
    return result;
  } catch (error) {
    done('failed', false);
    throw error;
  }
}

/** Notes whether something is as it should be. */
export const check = (notes: Notes, name: string, ok: boolean, seen: string): void => void notes.checks.push({ name, ok, seen });
/** How many are true. */
export const count = (answers: readonly boolean[]): number => answers.filter(Boolean).length;
export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
