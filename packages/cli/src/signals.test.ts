import { StillpointError } from '@stillpoint/shared/errors';
import { afterEach, expect, it } from 'vitest';
import { handleSignals, type SignalHandling } from './signals.ts';

let handling: SignalHandling | undefined;
afterEach(() => handling?.dispose());

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s asks for an orderly end, the second signal ends at once', (name) => {
  const told: string[] = [];
  handling = handleSignals(
    (signal) => told.push(signal),
    () => told.push('at once'),
  );
  process.emit(name, name);
  expect(handling.signal.aborted).toBe(true);
  expect(handling.signal.reason).toBeInstanceOf(StillpointError);
  expect(handling.signal.reason).toMatchObject({ code: 'CANCELLED', message: `cancelled by ${name}` });
  process.emit('SIGINT', 'SIGINT');
  expect(told).toEqual([name, 'at once']);
});

it('leaves no handler behind', () => {
  const before = process.listenerCount('SIGINT');
  handleSignals(
    () => undefined,
    () => undefined,
  ).dispose();
  expect(process.listenerCount('SIGINT')).toBe(before);
});
