/** What a thread and who ends it agree on: one number that both see. */
export type EndGate = Int32Array<SharedArrayBuffer>;

const FREE = 0;
const BUSY = 1;
const ENDING = 2;
/** How long to wait for a thread to come to a place where it may be ended, milliseconds: what must not be broken off takes a few. */
const PATIENCE_MS = 10_000;

let own: EndGate | undefined;

/** A gate for a thread that is about to be started. */
export const newEndGate = (): EndGate => new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** On a thread, before it does anything: by which gate it is ended. */
export const endedBy = (gate: EndGate): void => {
  own = gate;
};

/**
 * Does something in the midst of which the thread must not be ended: Node 24 aborts the whole process when a thread is terminated between the making
 * of a zstd context and its setting up, both inside one synchronous call. On the main thread, which nobody ends, it is just done.
 */
export function unbroken<T>(work: () => T): T {
  const gate = own;
  if (gate === undefined) return work();
  const before = Atomics.compareExchange(gate, 0, FREE, BUSY);
  // Woken by nobody: the thread is ended while it waits.
  if (before === ENDING) Atomics.wait(gate, 0, ENDING);
  if (before === BUSY) return work();
  try {
    return work();
  } finally {
    free(gate);
  }
}

/** The thread is at nothing that must not be broken off, or gone. */
export function free(gate: EndGate): void {
  Atomics.compareExchange(gate, 0, BUSY, FREE);
  Atomics.notify(gate, 0);
}

/** Returns once the thread may be ended; it begins nothing any more then that must not be broken off. */
export async function untilEndable(gate: EndGate): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (Atomics.compareExchange(gate, 0, FREE, ENDING) === BUSY && performance.now() < deadline) {
    await Atomics.waitAsync(gate, 0, BUSY, 100).value;
  }
}
