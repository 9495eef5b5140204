import { setTimeout as delay } from 'node:timers/promises';

/** Waits until `condition` gives something true, and gives that. Throws after `timeoutMs`; what `condition` throws is thrown at once. */
export async function eventually<T>(condition: () => T | Promise<T>, timeoutMs = 30_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`not so within ${timeoutMs} ms: ${condition.toString().slice(0, 200)}`);
    await delay(20);
  }
}
