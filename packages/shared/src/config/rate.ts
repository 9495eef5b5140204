import { z } from 'zod';

const UNIT_BYTES = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** Slower, a backup of anything would never end. */
const LEAST = 64 * 1024;

/** Bytes in a second, written such as `50MiB`. */
export const rateSetting = z.string({ error: ({ input }) => notText(input) }).transform((text, context) => {
  const bytes = parseRate(text);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: 'custom', message: whyNot(text) });
  return z.NEVER;
});

/** Bytes in a second, of `50MiB`, `50MiB/s`, `1.5GiB`; undefined when it is none, or less than 64KiB. */
export function parseRate(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s?(KiB|MiB|GiB)(?:\/s)?$/.exec(text.trim());
  if (match?.[1] === undefined) return undefined;
  const bytes = Math.round(Number(match[1]) * UNIT_BYTES[match[2] as keyof typeof UNIT_BYTES]);
  return bytes < LEAST || !Number.isSafeInteger(bytes) ? undefined : bytes;
}

const whyNot = (text: string): string =>
  `"${text.slice(0, 40)}" is not a rate such as 50MiB (bytes in a second; KiB, MiB or GiB; at least 64KiB)`;

/** YAML reads a rate without its unit as a number. A missing one is told elsewhere. */
const notText = (input: unknown): string | undefined => (input === undefined ? undefined : whyNot(JSON.stringify(input)));
