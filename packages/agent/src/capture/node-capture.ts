import { StillpointError } from '@stillpoint/shared/errors';
import type { CaptureOptions } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';
import type { Hold } from '../hold/types.ts';
import type { LockGate } from '../mariadb/open-gate.ts';
import { together } from '../task/together.ts';
import type { TaskContext } from '../task/types.ts';
import { type EngineImage, engineCapture } from './columnstore/engine-image.ts';
import { serverCapture } from './mariadb/server-capture.ts';
import { parentOf } from './parent.ts';
import type { ServerImage } from './part.ts';
import { addedUp } from './progress.ts';
import { type ImageWork, NOTHING_BEFORE, type Precopied, type StorageCapture } from './storage.ts';
import { type Storing, storingOf } from './storing.ts';

/** What a node's images are made of. */
export interface NodeCaptureOptions {
  readonly agent: Agent;
  readonly operationId: string;
  readonly setId: string;
  /** Directory of the part; it is there. */
  readonly part: string;
  readonly options: CaptureOptions;
}

/** All images of a node. */
export interface CapturedImages {
  /** Undefined on a node without a server. */
  readonly server: ServerImage | undefined;
  /** Undefined on a node without the engine of ColumnStore. */
  readonly engine: EngineImage | undefined;
  /** How long writers waited for the images, milliseconds. */
  readonly captureMs: number;
}

/** The images of a node in the making, of one operation: from the first pre-copy to the published part. */
export class NodeCapture {
  readonly setId: string;
  /** Directory of the part. */
  readonly part: string;
  readonly storing: Storing;
  readonly #agent: Agent;
  readonly #server: StorageCapture<ServerImage> | undefined;
  readonly #engine: StorageCapture<EngineImage | undefined>;
  #takenUnder: Hold | undefined;
  #captureMs = 0;

  constructor({ agent, operationId, part, setId, options }: NodeCaptureOptions) {
    const { mariadb } = agent.config;
    this.#agent = agent;
    this.setId = setId;
    this.part = part;
    this.storing = storingOf(options);
    const parent = parentOf(agent.config, options);
    this.#server = mariadb === undefined ? undefined : serverCapture({ agent, mariadb, part, parent, options });
    this.#engine = engineCapture({ agent, operationId, setId, part, parent, options });
  }

  /** Brings over what can be had of one kind of storage while clients write. Throws what its strategy throws. */
  async precopy(what: 'server' | 'dbroots', task: TaskContext): Promise<Precopied> {
    const storage = what === 'server' ? this.#server : this.#engine;
    const progress = (done: number, total: number): void => task.progress('precopy', done, total);
    return (await storage?.precopy({ signal: task.signal, note: task.log, progress })) ?? NOTHING_BEFORE;
  }

  /** What waits at the gate of the server; undefined when nothing does. */
  get gate(): LockGate | undefined {
    return this.#server?.gate?.();
  }

  /** Takes all images under a hold that is in force. Throws what the strategies throw, HOLD_LOST, or the signal's reason. */
  async take(hold: Hold, task: TaskContext): Promise<void> {
    const { clock } = this.#agent;
    const begunMs = clock.monotonicMs();
    await this.#works(task, 'copy', [
      (work) => this.#server?.take(hold, work) ?? Promise.resolve(),
      (work) => this.#engine.take(hold, work),
    ] as const);
    task.signal.throwIfAborted();
    // An ordered release is no loss, and aborts nothing.
    if (!hold.inForce) throw new StillpointError('HOLD_LOST', 'The hold was let go while the images were taken');
    this.#captureMs = clock.monotonicMs() - begunMs;
    this.#takenUnder = hold;
  }

  /**
   * Completes all images after the still point. Throws HOLD_LOST unless they were taken under this very hold, which was let go in good order: an
   * operation that takes its hold anew has captured nothing under that one.
   */
  async finish(hold: Hold, task: TaskContext): Promise<CapturedImages> {
    if (hold.lost.aborted) throw hold.lost.reason;
    if (this.#takenUnder !== hold) throw new StillpointError('HOLD_LOST', 'The images were taken under an earlier hold of the operation');
    const [server, engine] = await this.#works(task, 'pack', [
      (work) => this.#server?.finish(work) ?? Promise.resolve(undefined),
      (work) => this.#engine.finish(work),
    ] as const);
    return { server, engine, captureMs: this.#captureMs };
  }

  /** Never throws. */
  async discard(): Promise<void> {
    await Promise.all([this.#server?.discard(), this.#engine.discard()]);
  }

  /** Both kinds of storage at the same time; one that fails stops the other. */
  #works<A, B>(
    task: TaskContext,
    step: string,
    works: readonly [(work: ImageWork) => Promise<A>, (work: ImageWork) => Promise<B>],
  ): Promise<readonly [A, B]> {
    const progress = addedUp((done, total) => task.progress(step, done, total));
    const note = (message: string): void => task.log(message);
    const [one, other] = works;
    return together<readonly [A, B]>(task.signal, [
      (signal) => one({ signal, note, progress: progress() }),
      (signal) => other({ signal, note, progress: progress() }),
    ]);
  }
}
