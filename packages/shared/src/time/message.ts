import { type Duration, durationFromMs } from '@bufbuild/protobuf/wkt';

/**
 * Milliseconds as they travel. Rounded to whole ones and never negative: the library splits fractions into a nanosecond part
 * that is not a whole number, which it then cannot write.
 */
export const durationOf = (ms: number): Duration => durationFromMs(Math.max(0, Math.round(ms)));
