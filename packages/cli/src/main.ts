#!/usr/bin/env node
import { EXIT, errnoOf } from '@stillpoint/shared/errors';
import { systemClock } from '@stillpoint/shared/time';
import { openController } from './open-controller.ts';
import { type CommandLine, runCommandLine } from './run.ts';
import { handleSignals } from './signals.ts';

/** Time that connections and files get to close by themselves, ms; a command never hangs after its last word. */
const LINGER_MS = 2_000;

// Whoever reads us may stop reading (`| head`); an operation is worth more than its output.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error) => {
    if (errnoOf(error) !== 'EPIPE' && errnoOf(error) !== 'EIO') throw error;
  });
}

let commandLine: CommandLine | undefined;
process.on('uncaughtException', (error) => process.exit(commandLine?.fail(error) ?? EXIT.INTERNAL));

const signals = handleSignals(
  (name) => commandLine?.interrupted(name),
  () => process.exit(EXIT.INTERRUPTED),
);
commandLine = runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  clock: systemClock,
  signal: signals.signal,
  openController,
});
process.exitCode = await commandLine.ended;
signals.dispose();
setTimeout(() => process.exit(), LINGER_MS).unref();
