import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { type StillpointError, toStillpointError } from '@stillpoint/shared/errors';
import type { HoldPhase, HoldRequestSchema, HoldResponse } from '@stillpoint/shared/proto';
import { outbox } from '../../packages/controller/src/agents/outbox.ts';
import { eventually } from '../harness/eventually.ts';
import type { AgentClient } from './node.ts';

type Request = NonNullable<MessageInitShape<typeof HoldRequestSchema>['request']>;
type Answer = Exclude<HoldResponse['response'], { case: undefined }>;
type AnswerOf<C extends Answer['case']> = Extract<Answer, { case: C }>['value'];

/** One stream of a hold, word by word: nothing is renewed or taken up again by itself. */
export interface HoldTalk {
  /** Everything that was heard so far. */
  readonly heard: readonly Answer[];
  say(request: Request): void;
  /** Waits for an answer; each is given once. Throws when the talk ends without it. */
  hear<C extends Answer['case']>(kind: C): Promise<AnswerOf<C>>;
  /** Resolves when the stream has ended: undefined for an orderly end. */
  readonly end: Promise<StillpointError | undefined>;
  /** Breaks off without a word. */
  breakOff(): void;
}

export function talkAbout(client: AgentClient, ...first: Request[]): HoldTalk {
  const out = outbox<{ request: Request }>();
  const broken = new AbortController();
  const heard: Answer[] = [];
  const taken = new Set<Answer>();
  let over = false;
  const listen = async (): Promise<undefined> => {
    for await (const { response } of client.hold(out, { signal: broken.signal })) if (response.case !== undefined) heard.push(response);
  };
  const end = listen()
    .catch((error: unknown) => toStillpointError(error))
    .finally(() => {
      over = true;
    });
  const say = (request: Request): void => out.push({ request });
  for (const request of first) say(request);
  return {
    heard,
    say,
    end,
    hear: async <C extends Answer['case']>(kind: C) => {
      const answer = await eventually(async () => {
        const found = heard.find((one) => one.case === kind && !taken.has(one));
        if (found === undefined && over) throw new Error(`no ${kind}, but ${heard.map(tell)} ${await end}`);
        return found;
      });
      taken.add(answer);
      return answer.value as AnswerOf<C>;
    },
    breakOff: () => broken.abort(),
  };
}

const tell = (answer: Answer): string =>
  answer.case === 'failed' ? `failed (${answer.value.code}: ${answer.value.message})` : answer.case;

/** On what terms a hold is asked for, milliseconds; the rest is long enough never to matter. */
export interface Terms {
  readonly lockTimeoutMs?: number;
  readonly leaseMs?: number;
  readonly maxBlockMs?: number;
  readonly checksums?: boolean;
}

export const acquire = (operationId: string, terms: Terms = {}): Request => ({
  case: 'acquire',
  value: {
    operationId,
    lockTimeout: durationFromMs(terms.lockTimeoutMs ?? 5_000),
    lease: durationFromMs(terms.leaseMs ?? 60_000),
    maxBlock: durationFromMs(terms.maxBlockMs ?? 60_000),
    ...(terms.checksums ? { checksums: {} } : {}),
  },
});

export const attach = (operationId: string): Request => ({ case: 'attach', value: { operationId } });
/** Within a time that is long enough never to matter. */
export const advance = (phase: HoldPhase): Request => ({ case: 'advance', value: { phase, timeout: durationFromMs(30_000) } });
export const RENEW: Request = { case: 'renew', value: {} };
export const ATTEST: Request = { case: 'attest', value: {} };
export const RELEASE: Request = { case: 'release', value: {} };
