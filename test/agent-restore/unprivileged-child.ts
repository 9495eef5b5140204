import { readFileSync } from 'node:fs';
import { agentOf, SET } from './rig.ts';
import { tasksOf } from './tasks.ts';

/** The whole of a restore by an agent that is not root but the account of the server. */
const { config, home, part } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const restore = tasksOf({ agent: agentOf(config), config, home }, `restore-${SET}`);
const staged = await restore.stage(part, { restoreConfiguration: true });
await restore.stop();
const switched = await restore.doSwitch();
await restore.start();
process.stdout.write(JSON.stringify([staged, switched], (_, value) => (typeof value === 'bigint' ? Number(value) : value)));
