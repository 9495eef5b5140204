import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  FinishTaskSchema,
  ReplicateTaskSchema,
  RollbackTaskSchema,
  type StageTaskSchema,
  StartServerTaskSchema,
  StopServerTaskSchema,
  SwitchTaskSchema,
} from '@stillpoint/shared/proto';
import {
  finishTask,
  replicateTask,
  rollbackTask,
  stageTask,
  startServerTask,
  stopServerTask,
  switchTask,
} from '../../packages/agent/src/restore/index.ts';
import { type Rig, stageSpec, type TakenPart, taskOf } from './rig.ts';

/** The tasks of one restore, called as the agent calls them. */
export function tasksOf({ agent, config, home }: Pick<Rig, 'agent' | 'config' | 'home'>, operationId: string) {
  const task = taskOf(operationId);
  return {
    task,
    stage: (part: Pick<TakenPart, 'sha256' | 'part'>, fields?: MessageInitShape<typeof StageTaskSchema>) =>
      stageTask.run(agent, stageSpec(part, fields), task),
    stop: () => stopServerTask.run(agent, create(StopServerTaskSchema), task),
    doSwitch: () => switchTask.run(agent, create(SwitchTaskSchema), task),
    start: (timeoutMs = 60_000) => startServerTask.run(agent, create(StartServerTaskSchema, { timeout: durationFromMs(timeoutMs) }), task),
    replicate: (host: string, port: number, gtidPosition: string, timeoutMs = 30_000) =>
      replicateTask.run(agent, create(ReplicateTaskSchema, { host, port, gtidPosition, timeout: durationFromMs(timeoutMs) }), task),
    rollback: (restartServer: boolean) => rollbackTask.run(agent, create(RollbackTaskSchema, { restartServer }), task),
    finish: () => finishTask.run(agent, create(FinishTaskSchema), task),
    /** Runs a switch, or its way back, in a process that is killed right after a rename to a path that ends so. */
    killed: (work: 'switch' | 'rollback', after: string): NodeJS.Signals | null => {
      const input = join(home, 'switch-child.json');
      writeFileSync(input, JSON.stringify({ config, operationId, work, after }));
      return spawnSync(process.execPath, ['-C', 'source', join(import.meta.dirname, 'switch-child.ts'), input], { stdio: 'inherit' })
        .signal;
    },
  };
}
