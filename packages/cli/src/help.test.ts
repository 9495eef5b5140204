import { EXIT, EXIT_MEANING } from '@stillpoint/shared/errors';
import { describe, expect, it } from 'vitest';
import { notesOf } from './commands/verb.ts';
import { user } from './fixture/command-line.ts';
import { pathOf } from './help.ts';
import { createProgram, everyCommand } from './program.ts';

const program = createProgram(() => async () => undefined);
const commands = everyCommand(program);
const pages = commands.map((command) => ({ path: pathOf(command), command }));

describe('help', () => {
  it('knows all commands', () => {
    expect(pages.map(({ path }) => path)).toMatchInlineSnapshot(`
      [
        "stillpoint",
        "stillpoint cluster",
        "stillpoint cluster show",
        "stillpoint cluster check",
        "stillpoint backup",
        "stillpoint backup create",
        "stillpoint backup list",
        "stillpoint backup show",
        "stillpoint backup verify",
        "stillpoint backup delete",
        "stillpoint backup prune",
        "stillpoint backup protect",
        "stillpoint backup unprotect",
        "stillpoint restore",
        "stillpoint restore plan",
        "stillpoint restore run",
        "stillpoint restore resume",
        "stillpoint restore rollback",
        "stillpoint restore finish",
        "stillpoint restore list",
        "stillpoint repository",
        "stillpoint repository clean",
        "stillpoint agent",
        "stillpoint agent run",
        "stillpoint agent grants",
        "stillpoint pki",
        "stillpoint pki init",
        "stillpoint pki issue",
        "stillpoint config",
        "stillpoint config check",
        "stillpoint completion",
        "stillpoint version",
        "stillpoint help",
      ]
    `);
  });

  it.each(pages)('has a page for $path', async ({ path, command }) => {
    const { exitCode, stdout, stderr } = await user().type(...path.split(' ').slice(1), '--help');
    expect({ exitCode, stderr }).toEqual({ exitCode: EXIT.OK, stderr: '' });
    expect(stdout).toContain(`Usage: ${path}`);
    expect(stdout).toContain(command.description());
    expect(stdout).toContain('--output <format>');
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
    if (command.commands.length > 0) return;
    expect(stdout).toContain('\nExamples:\n');
    const [, status = ''] = stdout.split('\nEXIT STATUS\n');
    for (const name of ['OK', 'INTERNAL', 'USAGE', 'INTERRUPTED'] as const)
      expect(status).toContain(`${EXIT[name]}  ${EXIT_MEANING[name]}`);
  });

  it.each(pages.filter(({ command }) => notesOf(command)))('has examples that $path understands', ({ path, command }) => {
    const lines = notesOf(command)?.examples.map(({ line }) => line) ?? [];
    expect(lines).not.toEqual([]);
    for (const line of lines) {
      expect(line).toContain(path);
      const flags = line.split(/[|>]/)[0]?.match(/--[a-z-]+/g) ?? [];
      const known = [...command.options, ...program.options].map((option) => option.long);
      for (const flag of flags) expect(known).toContain(flag);
    }
  });

  it.each([
    [['help'], 'Usage: stillpoint [options] [command]'],
    [['help', 'restore'], 'Usage: stillpoint restore [options] [command]'],
    [['help', 'restore', 'run'], 'Usage: stillpoint restore run [options] <plan>'],
    [['restore', 'help', 'run'], 'Usage: stillpoint restore run [options] <plan>'],
  ])('is found by words too: %s', async (words, usage) => {
    const { exitCode, stdout } = await user().type(...words);
    expect(exitCode).toBe(EXIT.OK);
    expect(stdout).toContain(usage);
  });

  it('for what there is not is refused', async () => {
    const { exitCode, stderr } = await user().type('help', 'restore', 'rn');
    expect(exitCode).toBe(EXIT.USAGE);
    expect(stderr).toContain("unknown command 'rn'");
    expect(stderr).toContain('stillpoint restore --help');
  });

  it('knows --version as well', async () => {
    const { json } = user();
    expect((await json('--version')).lines).toEqual((await json('version')).lines);
  });

  it('speaks JSON too', async () => {
    const { exitCode, lines } = await user().json('help');
    expect(exitCode).toBe(EXIT.OK);
    expect(lines).toMatchObject([{ type: 'help', text: expect.stringContaining('Usage: stillpoint') }]);
  });
});
