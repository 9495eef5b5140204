/** Messages on their way out: an endless source that is pushed to. Made for one reader. */
export interface Outbox<T> extends AsyncIterable<T> {
  push(message: T): void;
  /** Nothing more comes; what was pushed is still delivered. */
  close(): void;
}

export function outbox<T>(): Outbox<T> {
  const waiting: T[] = [];
  let closed = false;
  let wake = (): void => {};
  return {
    push: (message) => {
      waiting.push(message);
      wake();
    },
    close: () => {
      closed = true;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const message = waiting.shift();
        if (message !== undefined) yield message;
        else if (closed) return;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
}
