import { parentPort, workerData } from 'node:worker_threads';
import { type Failure, ThreadFailure } from './failure.ts';
import type { Numbered, Said, ThreadData, Thrown } from './talk.ts';
import { endedBy } from './unbroken.ts';

/** Carries out one order. Those that come while it waits for something are begun meanwhile. */
type Handler<Order, Answer> = (order: Order) => Answer | Promise<Answer>;

/**
 * What a thread does: `begin` is called before the first order, with what the thread was started with, and gives what carries orders out, in the
 * order in which they come; they wait until it has. What either throws is the answer. Words said in passing arrive before the answer that follows them.
 */
export function serveThread<Data, Order, Answer, Word>(
  begin: (data: Data, say: (word: Word) => void) => Handler<Order, Answer> | Promise<Handler<Order, Answer>>,
): void {
  const port = parentPort;
  if (port === null) throw new Error('this file is the beginning of a thread');
  const { data, gate } = workerData as ThreadData;
  endedBy(gate);
  const tell = (said: Said<Answer, Word>): void => port.postMessage(said);
  let begun: Promise<Handler<Order, Answer>> | undefined;
  const carryOut = async ({ number, order }: Numbered<Order>): Promise<void> => {
    try {
      begun ??= (async () => begin(data as Data, (word) => tell({ kind: 'word', word })))();
      const handler = await begun;
      tell({ kind: 'answer', number, answer: await handler(order) });
    } catch (error) {
      tell({ ...saidOf(error), number });
    }
  };
  port.on('message', (order: Numbered<Order>) => void carryOut(order));
}

function saidOf(error: unknown): Thrown {
  if (error instanceof ThreadFailure) return { kind: 'failed', failure: error.failure };
  if (isOfTheTable(error)) return { kind: 'failed', failure: { code: error.code, message: error.message, hint: error.hint } };
  const { message, stack, code }: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
  return { kind: 'threw', error: { message, stack, errno: code } };
}

/** A StillpointError, where a thread has loaded the table all the same. */
const isOfTheTable = (error: unknown): error is Required<Failure> => error instanceof Error && error.name === 'StillpointError';
