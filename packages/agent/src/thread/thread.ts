import { extname } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { type Transferable, Worker } from 'node:worker_threads';
import { type ErrorCode, StillpointError } from '@stillpoint/shared/errors';
import type { Numbered, OtherError, Said, ThreadData } from './talk.ts';
import { free, newEndGate, untilEndable } from './unbroken.ts';

/** How a thread is started. */
export interface ThreadStart<Word> {
  /** File that calls `serveThread`, without its extension: TypeScript from a checkout, JavaScript where it is installed. */
  readonly main: URL;
  /** What it is there for, for messages: "that packs PATH". */
  readonly what: string;
  /** Of the error when it dies. */
  readonly code: ErrorCode;
  /** For `begin` of `serveThread`. */
  readonly data: unknown;
  /** Gets what it says in passing. */
  readonly onWord: (word: Word) => void;
}

interface Waiting<Answer> {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

const EXTENSION = extname(import.meta.url);
const IS_SOURCE = EXTENSION === '.ts';
const EXEC_ARGV = IS_SOURCE ? ['-C', 'source'] : [];

// Node takes the types out of TypeScript by WebAssembly, on each thread. V8 of Node 24 may free the generic wrapper of an import twice when it is exchanged for a
// faster one after a thousand calls (Runtime_TierUpWasmToJSWrapper, by a core), and the process dies: once in a thousand captures. Installed, nothing is taken out.
if (IS_SOURCE) setFlagsFromString('--no-wasm-generic-wrapper');

/** Of objects that live shortly, MB, several times over: what threads work on are buffers, and a larger space only grows the process. */
const YOUNG_MB = 4;

/** A thread that carries out orders, in the order in which they are given. To be ended on every path. */
export class Thread<Order, Answer, Word = never> {
  readonly #worker: Worker;
  readonly #what: string;
  readonly #code: ErrorCode;
  readonly #waiting = new Map<number, Waiting<Answer>>();
  readonly #gate = newEndGate();
  #orders = 0;
  #gone: { readonly reason: unknown } | undefined;

  constructor({ main, what, code, data, onWord }: ThreadStart<Word>) {
    this.#what = what;
    this.#code = code;
    this.#worker = new Worker(new URL(`${main.href}${EXTENSION}`), {
      workerData: { data, gate: this.#gate } satisfies ThreadData,
      execArgv: EXEC_ARGV,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#worker.on('message', (said: Said<Answer, Word>) => this.#hear(said, onWord));
    this.#worker.on('messageerror', (error) => this.#die(error.message));
    this.#worker.on('error', (error) => this.#die(error instanceof Error ? error.message : String(error)));
    this.#worker.on('exit', (code) => {
      free(this.#gate);
      this.#die(`it ended with code ${code}`);
    });
  }

  /**
   * Gives an order. What is in `transfer` is the thread's from now on. Throws what the thread throws (errors of the table and of the system as what
   * they are), the error of `code` when it has died, or the reason of its end.
   */
  ask(order: Order, transfer: readonly Transferable[] = []): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) return reject(this.#gone.reason);
      this.#orders += 1;
      this.#waiting.set(this.#orders, { resolve, reject });
      this.#worker.postMessage({ number: this.#orders, order } satisfies Numbered<Order>, transfer);
    });
  }

  /** Ends it, whatever it is at; nothing of it runs afterwards. Orders that were not carried out throw `reason`. Repeatable, never throws. */
  async end(reason: unknown = new Error('the thread was ended')): Promise<void> {
    this.#leave(reason);
    await untilEndable(this.#gate);
    await this.#worker.terminate();
  }

  #hear(said: Said<Answer, Word>, onWord: (word: Word) => void): void {
    if (this.#gone !== undefined) return;
    if (said.kind === 'word') {
      onWord(said.word);
      return;
    }
    const waiting = this.#waiting.get(said.number);
    this.#waiting.delete(said.number);
    if (said.kind === 'answer') waiting?.resolve(said.answer);
    else
      waiting?.reject(
        said.kind === 'threw' ? errorOf(said.error) : new StillpointError(said.failure.code, said.failure.message, said.failure),
      );
  }

  #die(why: string): void {
    this.#leave(new StillpointError(this.#code, `The thread of the agent ${this.#what} has died: ${why}`));
  }

  #leave(reason: unknown): void {
    this.#gone ??= { reason };
    for (const { reject } of this.#waiting.values()) reject(this.#gone.reason);
    this.#waiting.clear();
  }
}

const errorOf = ({ message, stack, errno }: OtherError): Error =>
  Object.assign(new Error(message), stack === undefined ? {} : { stack }, errno === undefined ? {} : { code: errno });
