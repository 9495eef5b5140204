import { StillpointError } from '@stillpoint/shared/errors';
import type { HoldRequest } from '@stillpoint/shared/proto';
import { checkedName } from '../repository/index.ts';
import { createNews } from '../task/news.ts';
import { acquiredAnswer, advancedAnswer, attestedAnswer, type HoldAnswer, isLast, lastAnswer, READY, renewedAnswer } from './answers.ts';
import type { NodeHold } from './node-hold.ts';
import type { Holds } from './registry.ts';
import { acquireTerms, phaseTerms } from './terms.ts';

/** What the streams of holds work with. */
export interface HoldDesk {
  readonly node: string;
  readonly holds: Holds;
  /** Throws CLAIM_MISSING unless the operation owns the node. */
  requireClaim(operationId: string): void;
}

/**
 * One stream of a hold. Each request is answered as soon as it can be: a renewal does not queue behind an attestation, nor
 * a release behind a lock that is still being waited for. The last word is `released` or `failed`; after it nothing is held.
 *
 * A stream that breaks does not end a hold in force: its lease goes on, and another stream may attach. It does end one that
 * is still being taken: nobody knows of that, so nobody could attach.
 *
 * Throws USAGE, CLAIM_MISSING or HOLD_LOST for a talk that makes no sense, or the signal's reason.
 */
export async function* serveHold(
  desk: HoldDesk,
  requests: AsyncIterable<HoldRequest>,
  signal: AbortSignal,
): AsyncGenerator<{ response: HoldAnswer }> {
  const answers: HoldAnswer[] = [];
  const news = createNews();
  const talk = createTalk(desk, (answer) => {
    answers.push(answer);
    news.tell();
  });
  let failure: { readonly error: unknown } | undefined;
  const listen = async (): Promise<void> => {
    for await (const { request } of requests) talk.hear(request);
  };
  listen().catch((error: unknown) => {
    failure = { error };
    news.tell();
  });
  try {
    while (failure === undefined) {
      const next = news.next(signal);
      // It is awaited below, but not when the last word comes first.
      next.catch(() => undefined);
      for (const response of answers.splice(0)) {
        yield { response };
        if (isLast(response)) return;
      }
      await next;
    }
    throw failure.error;
  } finally {
    talk.broken();
  }
}

interface Talk {
  /** Takes a request; its answer follows. Throws for one that makes no sense. */
  hear(request: HoldRequest['request']): void;
  /** Nobody listens any more. */
  broken(): void;
}

function createTalk(desk: HoldDesk, say: (answer: HoldAnswer) => void): Talk {
  let current: NodeHold | undefined;
  const follow = (find: () => NodeHold): void => {
    if (current !== undefined) throw new StillpointError('USAGE', 'The stream is about another hold already');
    current = find();
    void tell(current, desk.node, say);
  };
  const present = (): NodeHold => {
    if (current !== undefined) return current;
    throw new StillpointError('USAGE', 'The stream of a hold begins with prepare, acquire or attach');
  };
  return {
    hear: (request) => {
      if (request.case === 'prepare') {
        follow(() => prepare(desk, request.value));
        void sayReady(present(), say);
      } else if (request.case === 'acquire' && current !== undefined) takeReady(desk, current, request.value);
      else if (request.case === 'acquire') follow(() => begin(desk, request.value));
      else if (request.case === 'attach') follow(() => resume(desk, request.value.operationId));
      else answerTo(request, present(), say);
    },
    broken: () => {
      if (current?.state.at === 'idle' || current?.state.at === 'acquiring') void current.release();
    },
  };
}

/** Says when a hold is in force, and how it ends. */
async function tell(hold: NodeHold, node: string, say: (answer: HoldAnswer) => void): Promise<void> {
  const granted = await hold.granted.then(
    () => true,
    () => false,
  );
  if (granted && hold.inForce) say(acquiredAnswer(hold));
  await hold.done;
  say(lastAnswer(hold, node));
}

type RequestOf<C extends string> = Extract<HoldRequest['request'], { case: C }>['value'];

function prepare({ holds, requireClaim }: HoldDesk, request: RequestOf<'prepare'>): NodeHold {
  requireClaim(checkedName(request.operationId, 'operation id'));
  return holds.prepare(request.operationId, acquireTerms(request));
}

async function sayReady(hold: NodeHold, say: (answer: HoldAnswer) => void): Promise<void> {
  const isReady = await hold.ready().then(
    () => true,
    // Told with its end.
    () => false,
  );
  if (isReady) say(READY);
}

/** On the terms on which it was made ready. Throws USAGE for another operation's, or one that is taken already. */
function takeReady({ holds }: HoldDesk, hold: NodeHold, request: RequestOf<'acquire'>): void {
  if (request.operationId !== hold.operationId || hold.state.at !== 'idle')
    throw new StillpointError('USAGE', 'The stream is about another hold already');
  holds.take(hold.operationId, acquireTerms(request));
}

function begin({ holds, requireClaim }: HoldDesk, request: RequestOf<'acquire'>): NodeHold {
  requireClaim(checkedName(request.operationId, 'operation id'));
  return holds.take(request.operationId, acquireTerms(request));
}

function resume({ holds }: HoldDesk, operationId: string): NodeHold {
  const hold = holds.require(checkedName(operationId, 'operation id'));
  hold.renew();
  return hold;
}

/**
 * Requests about a hold that is there. What asks more of it than to live or to end waits until it is in force. What fails
 * ends the hold, and so is told by its last answer.
 */
function answerTo(
  request: Exclude<HoldRequest['request'], { case: 'prepare' | 'acquire' | 'attach' }>,
  hold: NodeHold,
  say: (answer: HoldAnswer) => void,
): void {
  const inForce = (work: () => Promise<void>, answer: (tookMs: number) => HoldAnswer): void => {
    const done = async (): Promise<void> => {
      await hold.granted;
      const beganMs = hold.heldMs;
      await work();
      say(answer(hold.heldMs - beganMs));
    };
    done().catch(() => undefined);
  };
  switch (request.case) {
    case 'renew':
      hold.renew();
      if (hold.inForce) say(renewedAnswer(hold));
      return;
    case 'attest':
      inForce(
        () => hold.attest(),
        () => attestedAnswer(hold),
      );
      return;
    case 'advance':
      inForce(
        () => hold.advance(request.value.phase, phaseTerms(request.value)),
        (tookMs) => advancedAnswer(hold, request.value.phase, tookMs),
      );
      return;
    case 'release':
      void hold.release();
      return;
    case undefined:
      throw new StillpointError('USAGE', 'A request on the stream of a hold says nothing');
  }
}
