import { StillpointError } from '@stillpoint/shared/errors';
import { ProgramFailure, runProgram } from '../process/index.ts';

/** Version of the installed mariadb-backup, for example 10.11.19-MariaDB. Throws TOOL_MISSING. */
export async function backupToolVersion(signal?: AbortSignal): Promise<string> {
  const { stdout, stderr } = await runTool('mariadb-backup', '--version', signal);
  return /MariaDB server (\S+)/.exec(stdout + stderr)?.[1] ?? '';
}

/** Asks a program for its version, to see that it is there. Throws TOOL_MISSING. */
export async function runTool(program: string, flag: string, signal?: AbortSignal): Promise<{ stdout: string; stderr: string }> {
  try {
    return await runProgram(program, [flag], { signal, timeoutMs: 10_000 });
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
    throw new StillpointError('TOOL_MISSING', `The program ${program} does not work: ${error.lastLines(2) || error.message}`, {
      cause: error,
    });
  }
}

/** Major and minor number of a version: what must agree between a server and its backup tool. */
export const seriesOf = (version: string): string => /^\d+\.\d+/.exec(version)?.[0] ?? '';

/** The three numbers of a version, to be compared as one. */
export function versionOrder(version: string): number {
  const [major = 0, minor = 0, patch = 0] = (/^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1) ?? []).map(Number);
  return (major * 1000 + minor) * 1000 + patch;
}
