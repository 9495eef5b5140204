/** Time: the clock that is passed in everywhere, and durations as people write them. */
export { type Clock, systemClock } from './clock.ts';
export { formatDuration, parseDuration } from './duration.ts';
export { durationOf } from './message.ts';
