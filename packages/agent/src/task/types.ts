import type { MessageInitShape } from '@bufbuild/protobuf';
import type { TaskResultSchema, TaskSpec } from '@stillpoint/shared/proto';
import type { Agent } from '../agent.ts';

type Spec = Exclude<TaskSpec['task'], { case: undefined }>;

/** Kinds of long work: the cases of TaskSpec. */
export type TaskKind = NonNullable<Spec['case']>;

/** The message of one kind. */
export type TaskSpecOf<K extends TaskKind> = Extract<Spec, { case: K }>['value'];

/** What a task may use while it runs. */
export interface TaskContext {
  readonly operationId: string;
  readonly taskId: string;
  /** Aborted on cancel, on agent shutdown, and when the operation loses its claim. */
  readonly signal: AbortSignal;
  /** Reports how far the present step has come, bytes. Cheap: calls are coalesced. `bytesTotal` 0 means unknown. */
  progress(step: string, bytesDone: number, bytesTotal: number): void;
  /** One sentence for the operation's log, without secrets. */
  log(message: string): void;
}

/** One kind of long work. */
export interface TaskDefinition<K extends TaskKind> {
  /** Does it, or throws StillpointError after removing what it had half done. */
  run(agent: Agent, spec: TaskSpecOf<K>, task: TaskContext): Promise<MessageInitShape<typeof TaskResultSchema>>;
  /** After an agent restart: undoes or keeps what an interrupted run left behind, so that `run` may be called again. */
  recover?(agent: Agent, spec: TaskSpecOf<K>, operationId: string): Promise<void>;
}

/** Every kind has a definition; a kind without one does not compile. */
export type TaskDefinitions = { readonly [K in TaskKind]: TaskDefinition<K> };
