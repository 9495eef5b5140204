import type { MessageInitShape } from '@bufbuild/protobuf';
import { fromErrorDetail, StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { HoldRequestSchema, HoldResponse } from '@stillpoint/shared/proto';
import type { Clock } from '@stillpoint/shared/time';
import { patience } from './contact.ts';
import { outbox } from './outbox.ts';
import type { NodeAgent } from './pool.ts';

type Request = NonNullable<MessageInitShape<typeof HoldRequestSchema>['request']>;
type Answer = Exclude<HoldResponse['response'], { case: undefined } | { case: 'failed' }>;
type AnswerCase = Answer['case'];
type AnswerOf<C extends AnswerCase> = Extract<Answer, { case: C }>['value'];

interface Pending {
  readonly request: Request;
  readonly answer: AnswerCase;
  resolve(value: Answer['value']): void;
  reject(reason: unknown): void;
}

/** The talk with one agent about one hold. */
export interface HoldStream {
  /** Asks, and waits for that answer. Rejects with the failure when the talk ends without it. */
  ask<C extends AnswerCase>(request: Request, answer: C): Promise<AnswerOf<C>>;
  /** Asks without waiting: any answer counts as a sign of life. */
  tell(request: Request): void;
  /** Aborted when the hold has failed, with the failure as reason. Not aborted by `close`. */
  readonly failed: AbortSignal;
  /** Aborted when the talk is over, in whatever way. */
  readonly over: AbortSignal;
  /** How long nothing was heard, ms. */
  silentMs(): number;
  /** Ends the talk as failed. */
  fail(error: StillpointError): void;
  /** Ends the talk; the hold is released or given up. */
  close(): void;
}

/**
 * Opens a talk. Once `acquired` was heard, a connection that breaks is made again and the hold taken up where it was, for
 * `reattachForMs` at most; requests that were not answered are sent again.
 */
export function openHoldStream(agent: NodeAgent, operationId: string, clock: Clock, reattachForMs: number): HoldStream {
  const { node } = agent;
  const over = new AbortController();
  const failed = new AbortController();
  const pending: Pending[] = [];
  let out = outbox<{ request: Request }>();
  let heardAt = clock.monotonicMs();
  let inForce = false;

  const end = (error: StillpointError): void => {
    if (over.signal.aborted) return;
    failed.abort(error);
    over.abort(error);
    for (const ask of pending.splice(0)) ask.reject(error);
  };
  const hear = ({ response }: HoldResponse): void => {
    heardAt = clock.monotonicMs();
    if (response.case === undefined) return;
    if (response.case === 'failed') {
      end(fromErrorDetail(response.value, node));
      return;
    }
    inForce ||= response.case === 'acquired';
    const at = pending.findIndex((ask) => ask.answer === response.case);
    if (at >= 0) pending.splice(at, 1)[0]?.resolve(response.value);
  };
  const listen = async (): Promise<never> => {
    for await (const response of agent.rpc.hold(out, { signal: over.signal })) hear(response);
    throw new StillpointError('CONNECTION_LOST', `${node}: the agent ended the hold's stream`, { node });
  };
  const attach = (): void => {
    out = outbox();
    out.push({ request: { case: 'attach', value: { operationId } } });
    for (const ask of pending) out.push({ request: ask.request });
  };
  const run = async (): Promise<void> => {
    let tries = patience(clock, reattachForMs);
    let heardBefore = heardAt;
    while (!over.signal.aborted) {
      try {
        await listen();
      } catch (thrown) {
        const error = toStillpointError(thrown).on(node);
        if (over.signal.aborted || !inForce) return end(error);
        if (heardAt !== heardBefore) tries = patience(clock, reattachForMs);
        heardBefore = heardAt;
        await tries.wait(error, over.signal).then(attach, () => end(lost(error)));
      }
    }
  };
  const lost = (cause: StillpointError): StillpointError =>
    new StillpointError('HOLD_LOST', `${node}: ${cause.message}, and the hold could not be taken up again`, { node, cause });

  void run();
  return {
    ask: <C extends AnswerCase>(request: Request, answer: C) =>
      new Promise<AnswerOf<C>>((resolve, reject) => {
        if (over.signal.aborted) return reject(over.signal.reason);
        pending.push({ request, answer, resolve: resolve as Pending['resolve'], reject });
        out.push({ request });
      }),
    tell: (request) => out.push({ request }),
    failed: failed.signal,
    over: over.signal,
    silentMs: () => clock.monotonicMs() - heardAt,
    fail: end,
    close: () => {
      over.abort(new StillpointError('CANCELLED', `${node}: the hold is over`, { node }));
      for (const ask of pending.splice(0)) ask.reject(over.signal.reason);
    },
  };
}
