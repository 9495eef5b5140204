/** Hands things from many to one, in the order in which they are put. */
export class Channel<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  readonly #most: number;
  /** The last one that was put. */
  #last: Promise<void> = Promise.resolve();
  #end: { readonly error: unknown } | 'open' | 'ended' = 'open';
  #wakeReader = Promise.withResolvers<void>();
  #wakeWriters = Promise.withResolvers<void>();

  /** At most so many things are kept for the reader. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Waits until there is room, behind all that wait already. What is put after the end is dropped. */
  put(thing: T): Promise<void> {
    this.#last = this.#last.then(() => this.#putNext(thing));
    return this.#last;
  }

  async #putNext(thing: T): Promise<void> {
    while (this.#end === 'open' && this.#waiting.length >= this.#most) await this.#wakeWriters.promise;
    if (this.#end !== 'open') return;
    this.#waiting.push(thing);
    this.#wakeReader.resolve();
  }

  /** Nothing comes any more. The reader gets what waits, and then the error, if there is one. */
  end(error?: unknown): void {
    if (this.#end === 'open') this.#end = error === undefined ? 'ended' : { error };
    this.#wakeReader.resolve();
    this.#wakeWriters.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        yield* this.#waiting.splice(0);
        this.#wakeWriters.resolve();
        this.#wakeWriters = Promise.withResolvers();
        if (this.#waiting.length > 0) continue;
        if (this.#end === 'ended') return;
        if (this.#end !== 'open') throw this.#end.error;
        await this.#wakeReader.promise;
        this.#wakeReader = Promise.withResolvers();
      }
    } finally {
      this.end();
    }
  }
}
