import { readdirSync, readFileSync } from 'node:fs';
import { stageTask } from '../../packages/agent/src/restore/index.ts';
import { agentOf, stageSpec, taskOf } from './rig.ts';

/** An agent that is killed in the middle of a step of staging; the programs it started do not notice. */
const { config, part, step } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const die = (): void => void process.kill(process.pid, 'SIGKILL');
const progress = (now: string, done: number): void => {
  if (now !== step) return;
  if (step === 'prepare') setInterval(() => isPreparing() && die(), 1);
  else if (done > 0 || step === 'checksum') die();
};
const isPreparing = (): boolean =>
  readdirSync('/proc').some(
    (pid) => /^\d+$/.test(pid) && argumentsOf(pid).includes('--prepare') && argumentsOf(pid).includes('stage-restore-1'),
  );

function argumentsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

await stageTask.run(agentOf(config), stageSpec(part), { ...taskOf('restore-1'), progress });
