import { z } from 'zod';

const WRONG = { error: 'must be a zstd level from 1 to 19, or none' };

/** How much is compressed: a level of zstd, or `none`. */
export const compressionSetting = z.union([z.number(WRONG).int(WRONG).min(1, WRONG).max(19, WRONG), z.literal('none', WRONG)], WRONG);
export type CompressionSetting = z.infer<typeof compressionSetting>;

/** What a compression is on the command line; undefined for what is none. */
export function parseCompression(text: string): CompressionSetting | undefined {
  const parsed = compressionSetting.safeParse(/^\d+$/.test(text) ? Number(text) : text);
  return parsed.success ? parsed.data : undefined;
}

/** Class of input and output, as `ionice` has them: `idle`, or `best-effort:` with a level from 0 (first) to 7 (last). */
export const ioniceSetting = z.string().regex(/^(?:idle|best-effort:[0-7])$/, 'must be idle, or best-effort:0 to best-effort:7');
