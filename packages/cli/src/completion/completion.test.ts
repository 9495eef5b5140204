import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createProgram } from '../program.ts';
import { completionScript, SHELLS } from './index.ts';

const program = createProgram(() => async () => undefined);
const directory = mkdtempSync(join(tmpdir(), 'stillpoint-completion-'));
afterAll(() => rmSync(directory, { recursive: true }));

const bash = join(directory, 'completion.bash');
writeFileSync(bash, completionScript('bash', program));

/** What bash offers for a line whose last word is being typed. */
function offered(...words: string[]): string[] {
  const line = ['stillpoint', ...words].map((word) => `'${word}'`).join(' ');
  const ask = `source '${bash}'; COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _stillpoint; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', ask], { encoding: 'utf8', cwd: directory })
    .trim()
    .split('\n')
    .filter((word) => word !== '');
}

describe('completion in bash', () => {
  it('offers commands, then theirs', () => {
    expect(offered('')).toEqual(expect.arrayContaining(['cluster', 'backup', 'restore', '--config', '--help']));
    expect(offered('b')).toEqual(['backup']);
    expect(offered('restore', 'r')).toEqual(['run', 'resume', 'rollback']);
  });

  it('offers the options of a command and those of all', () => {
    expect(offered('backup', 'create', '--lock')).toEqual(['--lock-timeout', '--lock-attempts']);
    expect(offered('backup', 'list', '--')).toEqual(expect.arrayContaining(['--all', '--rescan', '--output']));
    expect(offered('backup', 'list', '--')).not.toContain('--dry-run');
  });

  it('knows where it is behind options and their values', () => {
    expect(offered('--output', 'json', 'cluster', '--log-level', 'debug', '')).toEqual(expect.arrayContaining(['show', 'check']));
  });

  it('offers values: choices, files, or nothing', () => {
    expect(offered('restore', 'plan', 'latest', '--replicas', '')).toEqual(['auto', 'own', 'primary']);
    expect(offered('--config', 'comp')).toEqual(['completion.bash']);
    expect(offered('backup', 'create', '--max-block', '')).toEqual([]);
    expect(offered('completion', '')).toEqual(expect.arrayContaining([...SHELLS]));
  });
});

describe.each(SHELLS)('the script for %s', (shell) => {
  const script = completionScript(shell, program);

  it('names every command and every option', () => {
    const walk = (command: typeof program): void => {
      for (const option of command.options) expect(script).toContain(option.long?.slice(2));
      for (const sub of command.commands) {
        expect(script).toContain(sub.name());
        walk(sub);
      }
    };
    walk(program);
  });

  it('quotes what descriptions contain', () => {
    const open = script
      .split('\n')
      .filter((line) => (line.replaceAll("'\\''", '').replaceAll("\\'", '').match(/'/g)?.length ?? 0) % 2 === 1);
    expect(open).toEqual([]);
  });
});
