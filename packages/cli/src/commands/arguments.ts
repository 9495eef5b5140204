import { type Bounds, boundsText, type CompressionSetting, isWithin, parseCompression, parseRate } from '@stillpoint/shared/config';
import { StillpointError } from '@stillpoint/shared/errors';
import { parseDuration } from '@stillpoint/shared/time';
import { InvalidArgumentError } from 'commander';

/** A duration on the command line: milliseconds. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('It is not a duration such as 250ms, 10s or 5m.');
  return ms;
}

/** A duration within bounds: milliseconds. */
export const durationWithin =
  (bounds: Bounds) =>
  (text: string): number => {
    const ms = duration(text);
    if (isWithin(ms, bounds)) return ms;
    throw new InvalidArgumentError(`It must be ${boundsText(bounds)}.`);
  };

/** How much to compress. */
export function compression(text: string): CompressionSetting {
  const level = parseCompression(text);
  if (level === undefined) throw new InvalidArgumentError('It is not a zstd level from 1 to 19, nor none.');
  return level;
}

/** Bytes in a second. */
export function rate(text: string): number {
  const bytes = parseRate(text);
  if (bytes === undefined) throw new InvalidArgumentError('It is not a rate such as 50MiB (KiB, MiB or GiB in a second, at least 64KiB).');
  return bytes;
}

/** A whole number within bounds, both included. */
export const integer =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It is not a whole number from ${least} to ${most}.`);
    }
    return value;
  };

/** Gathers an option that may be given more than once; commas separate as well. */
export const list = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  ...text.split(',').filter((item) => item !== ''),
];

/** Gathers table patterns. */
export function tables(text: string, before: readonly string[] | undefined): readonly string[] {
  const patterns = list(text, before);
  const wrong = patterns.find((pattern) => !/^[^.]+\.[^.]+$/.test(pattern));
  if (wrong !== undefined) throw new InvalidArgumentError('It is not database.table, with * and ? as wildcards.');
  return patterns;
}

/** Throws CONFIRMATION_MISSING unless --yes was said; `what` tells what would happen. */
export function confirmed({ yes }: { readonly yes?: true }, what: string): void {
  if (yes !== true) throw new StillpointError('CONFIRMATION_MISSING', what);
}
