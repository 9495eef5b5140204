import { readFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { RollbackTaskSchema, SwitchTaskSchema } from '@stillpoint/shared/proto';
import { rollbackTaskWith } from '../../packages/agent/src/restore/rollback.ts';
import { noSeams } from '../../packages/agent/src/restore/seams.ts';
import { switchTaskWith } from '../../packages/agent/src/restore/switch.ts';
import { agentOf, taskOf } from './rig.ts';

/** An agent that is killed right after a rename of a switch, or of its way back. */
const { config, operationId, work, after } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const seams = {
  ...noSeams,
  checkpoint: (name: string): void => {
    if (name.includes(after)) process.kill(process.pid, 'SIGKILL');
  },
};
if (work === 'switch') await switchTaskWith(seams).run(agentOf(config), create(SwitchTaskSchema), taskOf(operationId));
else await rollbackTaskWith(seams).run(agentOf(config), create(RollbackTaskSchema), taskOf(operationId));
