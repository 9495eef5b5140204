import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@stillpoint/shared/errors';
import { startedTicksOf } from '../host/index.ts';

/** A guardian that lives, perhaps of an agent that does not. */
export interface LivingGuardian {
  readonly operationId: string;
  readonly pid: number;
  /** True while writers may be waiting for what it holds; afterwards it only sees to it that nothing is left. */
  readonly isHolding: boolean;
  /** How long its agent could be silent, milliseconds: on a node that does not suspend it holds that much longer. */
  readonly leaseMs: number;
}

/** What this process says of itself, for a later life of the agent. */
export interface Presence {
  /** It holds nothing any more. Never throws. */
  released(): Promise<void>;
  /** It is about to end. Never throws. */
  over(): Promise<void>;
}

const directoryOf = (stateDir: string): string => join(stateDir, 'guardians');
const fileOf = (stateDir: string, operationId: string): string => join(directoryOf(stateDir), `${operationId}${SUFFIX}`);
const SUFFIX = '.pid';
const HOLDING = 'holding';

/**
 * Writes down that this process guards an operation. Not synced: what ends the host ends this process as well. Throws the system's error.
 */
export async function announceGuardian(stateDir: string, operationId: string, leaseMs: number): Promise<Presence> {
  await mkdir(directoryOf(stateDir), { recursive: true, mode: 0o700 });
  const file = fileOf(stateDir, operationId);
  const self = `${process.pid} ${await startedTicksOf(process.pid)}`;
  const isMine = async (): Promise<boolean> => (await readFile(file, 'utf8').catch(() => '')).startsWith(`${self} `);
  await writeFile(file, `${self} ${HOLDING} ${leaseMs}\n`, { mode: 0o600 });
  return {
    // A later guardian of the same operation has written its own there.
    released: async () => {
      if (await isMine()) await writeFile(file, `${self} released\n`).catch(() => undefined);
    },
    over: async () => {
      if (await isMine()) await rm(file, { force: true }).catch(() => undefined);
    },
  };
}

/** Guardians that live. What dead ones left behind is removed. Throws the system's error. */
export async function livingGuardians(stateDir: string): Promise<readonly LivingGuardian[]> {
  const found = await Promise.all(
    (await announced(stateDir)).map(async (name) => {
      const file = join(directoryOf(stateDir), name);
      const [pid = '', started, state, lease = ''] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ');
      if (String(await startedTicksOf(Number(pid))) === started) {
        return { operationId: name.slice(0, -SUFFIX.length), pid: Number(pid), isHolding: state === HOLDING, leaseMs: Number(lease) || 0 };
      }
      await rm(file, { force: true });
      return undefined;
    }),
  );
  return found.filter((one) => one !== undefined);
}

async function announced(stateDir: string): Promise<readonly string[]> {
  try {
    return (await readdir(directoryOf(stateDir))).filter((name) => name.endsWith(SUFFIX));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
