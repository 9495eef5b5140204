import type { ListedEntry } from '@stillpoint/shared/manifest';
// All of the agent: its size counts.
import '../../../packages/agent/src/index.ts';
import { readArchive, readList } from '../../../packages/agent/src/archive/index.ts';
import { type CapturedDbroot, captureDbroot } from '../../../packages/agent/src/columnstore/dbroot/index.ts';
import { openRepository } from '../../../packages/agent/src/repository/index.ts';
import { fillDbroot } from '../../../packages/agent/src/restore/dbroots/fill.ts';
import type { ChildAnswer, ChildTask, PLACE } from './tasks.ts';

/** One capture or restore in a process of its own, so that its memory is that of an agent which does this and nothing else. */
const task = JSON.parse(process.argv[2] ?? '') as ChildTask & typeof PLACE;
const { cluster, setId, node } = task;
const { signal } = new AbortController();
const stored = openRepository({ repository: task.repository, cluster, node });
let dbroots: readonly CapturedDbroot[] = [];

const capture = async ({ part, numbers, level, shards }: Extract<ChildTask, { kind: 'capture' }>): Promise<void> => {
  dbroots = await Promise.all(
    numbers.map((number) =>
      captureDbroot({
        ...{ number, path: `${task.data}/data${number}`, part, brmDirectory: undefined, recipients: [], level },
        ...{ shards, onFound: () => {}, onBytes: () => {}, note: () => {}, signal },
      }),
    ),
  );
};

const sourceOf = ({ shards }: CapturedDbroot) => ({
  part: { cluster, setId, node, shards } as never,
  ...{ where: 'here', keyring: undefined, close: () => {} },
  read: ({ name }: { readonly name: string }, within: AbortSignal) => stored.readShard(setId, node, name, within),
});

const restore = async (captured: readonly CapturedDbroot[], stage: string): Promise<void> => {
  const context = { operationId: 'bench', signal, log: () => {}, progress: () => {} } as never;
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  await Promise.all(
    captured.map((one) => {
      const tree = { stage: `${stage}/data${one.dbroot.number}`, owner } as never;
      return fillDbroot({ image: { source: sourceOf(one), dbroot: one.dbroot }, tree }, context, () => {});
    }),
  );
};

const verify = async (captured: readonly CapturedDbroot[]): Promise<void> => {
  for (const one of captured) {
    const { read, where } = sourceOf(one);
    const opened = (name: string) => {
      const shard = one.shards.find((each) => each.name === name);
      if (shard === undefined) throw new Error(`no shard ${name}`);
      return { shard, where, pieces: read(shard, signal) };
    };
    const list = (): AsyncIterable<ListedEntry> => readList(opened(one.dbroot.list));
    const works = one.dbroot.shards.map(async (name, index) => {
      for await (const _ of readArchive({ ...opened(name), dbroot: one.dbroot, index, list }));
    });
    await Promise.all(works);
  }
};

const startedAt = performance.now();
if (task.kind === 'capture') await capture(task);
else if (task.kind === 'restore') await restore(task.captured, task.stage);
else await verify(task.captured);
const ms = performance.now() - startedAt;
const answer: ChildAnswer = { ms, peakBytes: process.resourceUsage().maxRSS * 1024, captured: dbroots };
process.stdout.write(JSON.stringify(answer));
