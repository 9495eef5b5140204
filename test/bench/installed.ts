import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const UNIT = join(import.meta.dirname, '../../packaging/stillpoint-agent.service');
/** What the systemd unit sets for an agent: it is about memory. */
const environment = Object.fromEntries(
  [...readFileSync(UNIT, 'utf8').matchAll(/^Environment=(\w+)=(.+)$/gm)].map(([, name, value]) => [name, value]),
);

/**
 * Runs a program of the benchmark in a process of its own, with the compiled packages and the settings of an installed agent, and gives what it prints as JSON.
 * From TypeScript the same process is larger by 50 MB, and by 9 MB for each thread. It gets the task as its argument, and may import only packages and types.
 */
export async function runInstalled<Answer>(program: string, task: object): Promise<Answer> {
  const compiled = program.replace(/\.ts$/, '.built.js');
  const source = stripTypeScriptTypes(readFileSync(program, 'utf8'));
  writeFileSync(compiled, source.replaceAll(/(\/packages\/\w+)\/src\/(.+)\.ts'/g, "$1/dist/$2.js'"));
  try {
    return await runCompiled<Answer>(compiled, task);
  } finally {
    rmSync(compiled, { force: true });
  }
}

/** The same of a program that is JavaScript already. */
export async function runCompiled<Answer>(program: string, task: object): Promise<Answer> {
  const env = { ...process.env, ...environment };
  const { stdout } = await run(process.execPath, [program, JSON.stringify(task)], { env, maxBuffer: 1 << 26 });
  return JSON.parse(stdout) as Answer;
}
